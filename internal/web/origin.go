package web

import "net/http"

// SameOrigin reports whether a request with our cookies comes from a page of that very
// origin, or from no page of a browser. It asks more than CSRF.Check, and of requests
// that only read as well: what programs are told is for the origin's own pages, and a
// sibling host under a shared cookie domain is another origin (AC-121, AC-125).
//
// Browsers say Sec-Fetch-Site with every request to https and to localhost, and Origin
// with every one that is neither GET nor HEAD. A program that is no browser says
// neither; it has the cookie, and nothing here could keep it from lying.
func SameOrigin(r *http.Request, origin string) bool {
	from, site := r.Header["Origin"], r.Header["Sec-Fetch-Site"]
	if len(from) > 1 || len(site) > 1 {
		return false // of two, one was added on the way
	}
	if len(from) == 1 && from[0] != origin {
		return false // "null" is one of these
	}
	if len(site) == 0 || site[0] == "same-origin" {
		return true
	}
	// "none": a person typed the address. Nothing is changed that way.
	return site[0] == "none" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}
