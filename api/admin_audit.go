package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// eventsDocument holds events as they are kept: whoever reads them here and in an export
// reads the same, to the hash.
type eventsDocument struct {
	Events []mfa.Event `json:"events"`
	Next   string      `json:"next,omitempty"`
}

func listAudit(c *call) (any, error) {
	q, err := c.query("user", "event", "since", "until", paramCursor, paramLimit)
	if err != nil {
		return nil, err
	}
	cursor, limit, err := pageOf(q)
	if err != nil {
		return nil, err
	}
	ask := mfa.AuditQuery{User: q.Get("user")}
	if ask.Name, err = oneOf(q, "event", mfa.EventNames...); err != nil {
		return nil, err
	}
	if ask.Since, err = moment(q, "since"); err != nil {
		return nil, err
	}
	if ask.Until, err = moment(q, "until"); err != nil {
		return nil, err
	}
	page, next, err := c.admin.Audit(c.r.Context(), ask, cursor, limit)
	if err != nil {
		return nil, c.adminError(err)
	}
	return eventsDocument{append([]mfa.Event{}, page...), next}, nil
}

// verifiedDocument says whether the chain of events holds.
type verifiedDocument struct {
	OK     bool   `json:"ok"`
	Count  int    `json:"count"`
	First  uint64 `json:"first"`
	Before string `json:"before,omitempty"`
	Last   uint64 `json:"last"`
	Head   string `json:"head,omitempty"`
	Broken uint64 `json:"broken,omitempty"`
	What   string `json:"what,omitempty"`
}

func verifyAudit(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	if !c.api.walks.begin() {
		return nil, mfa.ErrBusy
	}
	defer c.api.walks.end()
	v, err := c.admin.VerifyAudit(c.r.Context())
	if err != nil {
		return nil, c.adminError(err)
	}
	return verifiedDocument{
		OK: v.What == "", Count: v.Count, First: v.First, Before: v.Before, Last: v.Last, Head: v.Head, Broken: v.Broken, What: v.What,
	}, nil
}

// walks bounds how many walk along all events at once: each reads the whole log.
type walks chan struct{}

func (w walks) begin() bool {
	select {
	case w <- struct{}{}:
		return true
	default:
		return false
	}
}

func (w walks) end() { <-w }

// maxWalks is how many may do so.
const maxWalks = 2

// stream is a result that is written while it is made.
type stream func(c *call) error

// exportAudit writes all events in their order, one on each line. Nothing marks the end:
// whoever must know that nothing was cut off compares the last line with the verification.
func exportAudit(c *call) (any, error) {
	q, err := c.query("from")
	if err != nil {
		return nil, err
	}
	from, err := number(q, "from")
	if err != nil {
		return nil, err
	}
	if !c.api.walks.begin() {
		return nil, mfa.ErrBusy
	}
	return stream(func(c *call) error {
		defer c.api.walks.end()
		return c.writeEvents(from)
	}), nil
}

// writeEvents writes the events. An error before the first line is an answer of its own;
// later there is none, and the connection is cut so that nobody takes it for the end.
func (c *call) writeEvents(from uint64) error {
	begun := false
	begin := func() {
		begun = true
		web.APIHeaders(c.w.Header(), c.req.HTTPS)
		c.w.Header().Set("Content-Type", "application/x-ndjson")
		c.w.WriteHeader(http.StatusOK)
	}
	lines := json.NewEncoder(c.w)
	err := c.admin.Export(c.r.Context(), from, func(e mfa.Event) error {
		if !begun {
			begin()
		}
		if c.r.Method == http.MethodHead {
			return errHeadOnly
		}
		if err := c.r.Context().Err(); err != nil {
			return err
		}
		return lines.Encode(e)
	})
	switch {
	case begun && err != nil && !errors.Is(err, errHeadOnly):
		panic(http.ErrAbortHandler)
	case !begun && err != nil:
		return c.adminError(err)
	case !begun:
		begin()
	}
	return nil
}

// decisionDocument says why somebody was stopped (rule B32).
type decisionDocument struct {
	Event   mfa.Event `json:"event"`
	Decided string    `json:"decided"`
	Why     string    `json:"why"`
	Help    string    `json:"help"`
}

func readDecision(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	x, err := c.admin.Explain(c.r.Context(), c.name("id"))
	if err != nil {
		return nil, c.adminError(err)
	}
	return decisionDocument{x.Event, x.Decided, x.Why, x.Help}, nil
}
