// An app behind Secondgate that believes the assertion and nothing else.
//
//	APP_ORIGIN=https://app.example.com go run .
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	origin := os.Getenv("APP_ORIGIN")
	if origin == "" {
		log.Fatal("APP_ORIGIN is missing: the address of this app as browsers see it")
	}
	issuer := first(os.Getenv("ASSERTION_ISSUER"), origin)
	v := &verifier{origin: origin, issuer: issuer, url: first(os.Getenv("JWKS_URL"), issuer+"/.mfa/jwks.json")}

	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		lines := r.Header.Values("Mfa-Assertion")
		if len(lines) != 1 {
			http.Error(w, "no assertion", http.StatusUnauthorized)
			return
		}
		u, err := v.verify(r.Context(), lines[0])
		if err != nil {
			log.Printf("refused: %v", err)
			http.Error(w, "not believed", http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "hello %s (%s), by %s\n", u.UserName, u.Subject, strings.Join(u.Methods, " "))
	})
	l, err := net.Listen("tcp", first(os.Getenv("LISTEN"), "127.0.0.1:3000"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on http://" + l.Addr().String())
	log.Fatal(http.Serve(l, nil))
}

func first(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
