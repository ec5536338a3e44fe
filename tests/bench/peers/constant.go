// The least that a plugin in Go can cost: it prints a constant.
package main

import "os"

func main() {
	os.Stdout.WriteString(`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",` +
		`"status":{"token":"x"}}` + "\n")
}
