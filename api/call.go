package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// call is one request: what was parsed, once, at the edge.
type call struct {
	api   *API
	w     http.ResponseWriter
	r     *http.Request
	req   *guard.Request
	at    mfa.Place
	names map[string]string // what "{id}" and its like stand for

	console bool // the host carries no app

	// Behind the door of administrators:
	admin         *mfa.Administration
	byKey         bool // a program with a key asks, nobody with a session
	role          mfa.Role
	organizations []mfa.OrganizationID
}

// name returns the segment of the path that stands for {key}.
func (c *call) name(key string) string { return c.names[key] }

// id returns the complete session that this browser holds, or mfa.ErrNoSession. A
// half-done sign-in is none: what it owes is done on the pages (AC-161).
func (c *call) id() (mfa.SessionID, error) {
	view, err := c.api.guard.Session(c.r, c.req)
	if err != nil {
		return "", err
	}
	return view.Session.ID, nil
}

// keep writes the cookies of an outcome. Every one must come here before the answer is
// written: the session's ID changes with each rise, and the old one is dead.
func (c *call) keep(out *mfa.Outcome) error { return guard.Keep(c.api.guard, c.w, c.req, out) }

// checkBody refuses bodies of another type than JSON before anybody looks at them: a
// page of another site can send forms and text, but not this type, without asking first
// (AC-121). So even a request that says nothing sends "{}".
func (c *call) checkBody() error {
	types := c.r.Header["Content-Type"]
	switch {
	case c.r.Method == http.MethodGet, c.r.Method == http.MethodHead:
		return nil
	case c.r.Method == http.MethodDelete && len(types) == 0 && c.r.ContentLength == 0:
		return nil // nobody sends this method across origins without asking first
	case len(types) != 1:
		return errContentType
	}
	kind, _, err := mime.ParseMediaType(types[0])
	if err != nil || kind != "application/json" {
		return errContentType
	}
	if c.r.Method == http.MethodDelete && c.r.ContentLength != 0 {
		_, err = read[nothing](c)
	}
	return err
}

// maxDepth is how deep a body may nest: a passkey's answer has four levels.
const maxDepth = 16

// read decodes the body into a T, a struct with a json tag on each field. Every member
// must be one of its fields, by its very name and once; one whose tag lacks "omitempty"
// must be there. Whoever sends more than there is to say meant something that is not
// done, or tries what another program would do with it (AC-227).
func read[T any](c *call) (T, error) {
	var in T
	raw, err := io.ReadAll(web.Body(c.w, c.r, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return in, errTooLarge
	case err != nil:
		return in, errBody
	}
	if err := checkMembers[T](raw); err != nil {
		return in, err
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return in, errBody
	}
	return in, nil
}

// nothing is the body of a request that says nothing: "{}".
type nothing struct{}

// answer writes the result of a handler.
func (c *call) answer(result any) {
	if write, ok := result.(stream); ok {
		if err := write(c); err != nil {
			c.fail(err)
		}
		return
	}
	h := c.w.Header()
	web.APIHeaders(h, c.req.HTTPS)
	status := http.StatusOK
	switch r := result.(type) {
	case nil:
		c.w.WriteHeader(http.StatusNoContent)
		return
	case created:
		status, result = http.StatusCreated, r.body
	}
	raw, ok := result.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = json.Marshal(result); err != nil {
			c.fail(err)
			return
		}
	}
	h.Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(raw) // nobody is left to tell when the client went away
	}
}

// language is what letters are written in: what the person chose on our pages, or what
// the browser asks for.
func (c *call) language() string {
	if chosen, n := web.Find(c.r, c.req.Cookies.Name(web.LanguageCookie)); n == 1 && chosen != "" {
		return chosen
	}
	return c.r.Header.Get("Accept-Language")
}
