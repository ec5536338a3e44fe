// What a plugin in Go does that keeps its tokens in a file, as several do: reads it, looks at the
// time, prints. It could ask a provider, so net/http is linked.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

type cache struct {
	Token string    `json:"token"`
	End   time.Time `json:"end"`
}

func main() {
	var found cache
	text, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(text, &found)
	}
	if err != nil || time.Now().After(found.End) {
		http.Get("http://127.0.0.1:9/")
		os.Exit(1)
	}
	out, _ := json.Marshal(map[string]any{
		"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
		"status": map[string]any{"token": found.Token, "expirationTimestamp": found.End}})
	fmt.Println(string(out))
}
