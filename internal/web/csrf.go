package web

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"mime"
	"net/http"
	"strings"
)

// What a request that changes something can lack.
var (
	ErrCrossOrigin = errors.New("request from another origin")    // 403
	ErrContentType = errors.New("content type not accepted")      // 415
	ErrCSRFToken   = errors.New("form token missing or not ours") // 403
)

// The places where a form and a script carry the token.
const (
	CSRFField  = "csrf"
	CSRFHeader = "X-Csrf-Token"
)

const csrfLength = 32

// CSRF defends against requests that another site makes a browser send: the
// browser's own word on the origin first, and a token bound to a cookie. It is
// safe for concurrent use.
type CSRF struct {
	origin *http.CrossOriginProtection // no bypass patterns
}

// NewCSRF returns a CSRF.
func NewCSRF() *CSRF { return &CSRF{origin: http.NewCrossOriginProtection()} }

// Token returns the token to put into the form, and sets the cookie that it is
// bound to where the browser has none. Call it before anything is written.
//
// The token is the cookie's value under a new random mask each time, so that a
// compressed page does not give it away byte by byte (BREACH).
func (c *CSRF) Token(w http.ResponseWriter, r *http.Request, names Cookies) string {
	secret, ok := cookieSecret(r, names)
	if !ok {
		secret, ok = justSet(w, names)
	}
	if _, n := Find(r, names.Name(CSRFCookie)); n > 1 && !ok {
		names.ClearPlanted(w, CSRFCookie, r.URL.Path)
	}
	if !ok {
		secret = make([]byte, csrfLength)
		rand.Read(secret) // never fails: crypto/rand
		names.Set(w, CSRFCookie, base64.RawURLEncoding.EncodeToString(secret), 0)
	}
	token := make([]byte, 2*csrfLength)
	rand.Read(token[:csrfLength])
	subtle.XORBytes(token[csrfLength:], token[:csrfLength], secret)
	return base64.RawURLEncoding.EncodeToString(token)
}

// Check returns nil where the request, one that changes something, comes from our
// own page: a form with CSRFField, or application/json with CSRFHeader. Cap the
// body before. The errors are ErrCrossOrigin, ErrContentType, ErrCSRFToken.
func (c *CSRF) Check(r *http.Request, names Cookies) error {
	if r.Header.Get("Origin") == "null" || len(r.Header["Origin"]) > 1 || len(r.Header["Sec-Fetch-Site"]) > 1 {
		return ErrCrossOrigin
	}
	if c.origin.Check(r) != nil {
		return ErrCrossOrigin
	}
	if names.Secure && strings.HasPrefix(r.Header.Get("Origin"), "http://") {
		// The check above compares hosts where the browser says no more: a page that
		// somebody on the line wrote has the same host, without TLS.
		return ErrCrossOrigin
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || len(r.Header["Content-Type"]) > 1 {
		return ErrContentType
	}
	var token string
	switch kind {
	case "application/json":
		// A page of another site cannot send this type, or a header of its own,
		// without asking first.
		token = r.Header.Get(CSRFHeader)
	case "application/x-www-form-urlencoded":
		token = r.PostFormValue(CSRFField)
	default:
		return ErrContentType
	}
	secret, ok := cookieSecret(r, names)
	if !ok {
		return ErrCSRFToken
	}
	masked, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(masked) != 2*csrfLength {
		return ErrCSRFToken
	}
	subtle.XORBytes(masked[csrfLength:], masked[:csrfLength], masked[csrfLength:])
	if subtle.ConstantTimeCompare(masked[csrfLength:], secret) != 1 {
		return ErrCSRFToken
	}
	return nil
}

func cookieSecret(r *http.Request, names Cookies) ([]byte, bool) {
	value, n := Find(r, names.Name(CSRFCookie))
	if n != 1 {
		return nil, false
	}
	return decodeSecret(value)
}

// justSet finds the secret that an earlier Token of the same answer has set.
func justSet(w http.ResponseWriter, names Cookies) ([]byte, bool) {
	prefix := names.Name(CSRFCookie) + "="
	for _, line := range w.Header()["Set-Cookie"] {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			value, _, _ := strings.Cut(rest, ";")
			if secret, ok := decodeSecret(value); ok {
				return secret, true // a line without a value takes a cookie away
			}
		}
	}
	return nil, false
}

func decodeSecret(value string) ([]byte, bool) {
	secret, err := base64.RawURLEncoding.Strict().DecodeString(value)
	return secret, err == nil && len(secret) == csrfLength
}
