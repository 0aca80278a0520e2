// Sets the master key of the vault as Astro CLI 2 does, with Go's keyring package, and prints it.
package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"

	"github.com/zalando/go-keyring"
)

func main() {
	key := make([]byte, 32)
	rand.Read(key)
	text := base64.StdEncoding.EncodeToString(key)
	if err := keyring.Set("astro", "master-key", text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(text)
}
