/*
 * jobs - what a profile's configuration says, put into a fetcher's job.
 */
#ifndef KUBETOKEN_JOBS_H
#define KUBETOKEN_JOBS_H

#include "common/job.h"
#include "daemon/config.h"

/* Room for the proxy variables of the daemon's environment. */
enum { JOBS_ROOM = 8192 };

/* Fills in all but kind, deadline, credentials, token and cache. The job points into the
 * configuration and into room, which may then hold a proxy's password: wipe it. */
void jobs_fill(struct job *job, const struct profile_config *config, char room[JOBS_ROOM]);

#endif
