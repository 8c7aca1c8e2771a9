package web

import (
	"encoding/json"
	"net/http"
)

// The content security policies: of pages, and of what is no page.
const (
	pageCSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
		"connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'"
	bareCSP = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

// SecurityHeaders sets the headers of our HTML answers.
func SecurityHeaders(h http.Header, https bool) {
	common(h, https)
	h.Set("Content-Security-Policy", pageCSP)
	// Not "no-referrer": browsers then send "Origin: null" with our own forms, and
	// that is what CSRF.Check refuses. Other origins learn nothing either way.
	h.Set("Referrer-Policy", "same-origin")
}

// APIHeaders sets the headers of our answers that are not HTML: JSON, redirects,
// plain errors.
func APIHeaders(h http.Header, https bool) {
	common(h, https)
	h.Set("Content-Security-Policy", bareCSP)
	h.Set("Referrer-Policy", "no-referrer")
}

func common(h http.Header, https bool) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), microphone=(), geolocation=()")
	if https {
		// Without includeSubDomains: the host is the app's, and what its
		// subdomains speak is not ours to decide.
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// Problem is an RFC 9457 problem document.
type Problem struct {
	Type     string `json:"type,omitempty"` // "" is about:blank
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`
	Reason   string `json:"reason,omitempty"`   // one word, stable
	Next     string `json:"next,omitempty"`     // where a person goes to mend it, a path on this host
	Decision string `json:"decision,omitempty"` // ID for an administrator
	// Field names the member of the body that is wrong, Factors are those that would do
	// as a newer proof, and RetryAfter is what the header says, in seconds.
	Field      string   `json:"field,omitempty"`
	Factors    []string `json:"factors,omitempty"`
	RetryAfter int      `json:"retry_after,omitempty"`
}

// WriteProblem writes the document with its status, after APIHeaders.
func WriteProblem(w http.ResponseWriter, https bool, p Problem) {
	APIHeaders(w.Header(), https)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	// Nobody is left to tell when the client went away.
	_ = json.NewEncoder(w).Encode(p)
}
