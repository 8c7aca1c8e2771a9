package api

import (
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

type (
	activitiesDocument struct {
		Activity []activityDocument `json:"activity"`
		Next     string             `json:"next,omitempty"`
	}
	activityDocument struct {
		At       time.Time     `json:"at"`
		Name     mfa.EventName `json:"name"`
		OK       bool          `json:"ok"`
		Reason   string        `json:"reason,omitempty"`
		Factor   mfa.Kind      `json:"factor,omitempty"`
		Host     string        `json:"host,omitempty"`
		Network  string        `json:"network,omitempty"`
		Agent    string        `json:"agent,omitempty"`
		Did      string        `json:"did,omitempty"`
		Decision string        `json:"decision,omitempty"`
	}
)

// activityPage is how much one page holds where nothing else is asked for.
const activityPage = 20

func (a *API) readActivity(c *call) (any, error) {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, errQuery
	}
	limit := activityPage
	if s := q.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > mfa.MaxActivity {
			return nil, errQuery
		}
	}
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	page, next, err := a.gate.Activity(c.r.Context(), &c.at, id, q.Get("after"), limit)
	if errors.Is(err, mfa.ErrCursor) {
		return nil, errQuery
	}
	if err != nil {
		return nil, c.orOwed(id, err)
	}
	d := activitiesDocument{Activity: []activityDocument{}, Next: next}
	for _, e := range page {
		e.At = e.At.UTC()
		d.Activity = append(d.Activity, activityDocument(e))
	}
	return d, nil
}
