package mfa

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ActivityLife is how far back people see what happened to their account.
const ActivityLife = 30 * 24 * time.Hour

// MaxActivity is how much of it one call returns at most.
const MaxActivity = 100

// Activity is one thing that happened to an account, as its owner sees it: who else
// acted, and what an administrator wrote about it, is not in it.
type Activity struct {
	At      time.Time `json:"at"`
	Name    EventName `json:"name"`
	OK      bool      `json:"ok"`
	Reason  string    `json:"reason,omitempty"`
	Factor  Kind      `json:"factor,omitempty"`
	Host    string    `json:"host,omitempty"`
	Network string    `json:"network,omitempty"`
	Agent   string    `json:"agent,omitempty"` // the browser; empty: not known
	// Did says more, by a name that stays: the command of an administrator
	// ("remove-factors"), what a code was for, that it was the last factor.
	Did string `json:"did,omitempty"`
	// Decision is the ID that an administrator understands, of a refusal.
	Decision string `json:"decision,omitempty"`
}

// ownEvents are the events that people are shown. The rest is either about a step on
// the way to one of these, or about the gateway.
var ownEvents = []EventName{
	EventSignIn, EventSignedIn, EventVerify, EventEnroll, EventRemove, EventRename, EventSkip, EventOptOut, EventOptIn,
	EventSignOut, EventEndSessions, EventPassword, EventLink, EventDecision, EventAdmin, EventSend, EventConfirm,
	EventSignUp, EventForgotten, EventRemember, EventForget, EventProfile, EventAppTokenMade, EventAppTokenRevoked,
}

// onTheWay are reasons of something that was not done only because a page asks for
// something else first.
var onTheWay = []string{"proof_owed", "not_owed", "confirm_first"}

// Activity returns what happened to the user's own account in the last ActivityLife,
// newest first, at most limit (1 to MaxActivity) of it, after the cursor, and the cursor
// of the next page ("" at the end). A page may be short and go on behind its cursor.
// ErrNotAllowed where the session owes something first, ErrCursor.
func (g *Gate) Activity(ctx context.Context, at *Place, id SessionID, after string, limit int) (page []Activity, next string, err error) {
	_, u, err := g.member(ctx, at, id)
	if err != nil {
		return nil, "", err
	}
	limit = min(max(limit, 1), MaxActivity)
	// The user comes from the session and from nowhere else: a cursor names a moment,
	// and of another list it leads into this user's (AC-131).
	query := EventQuery{User: u.ID, Since: g.now().Add(-ActivityLife)}
	page, next = []Activity{}, after
	for range auditCalls {
		var part []Event
		if part, next, err = g.cfg.Store.Events(ctx, query, next, limit-len(page)); err != nil {
			return nil, "", fmt.Errorf("reading activity: %w", err)
		}
		for i := range part {
			if a, ok := own(&part[i]); ok {
				page = append(page, a)
			}
		}
		if next == "" || len(page) >= limit {
			break
		}
	}
	return page, next, nil
}

// own returns an event as its user sees it; ok is false where it is not for them.
func own(e *Event) (a Activity, ok bool) {
	switch {
	case !slices.Contains(ownEvents, e.Name), slices.Contains(onTheWay, e.Reason):
		return Activity{}, false
	case e.Name == EventDecision && !strings.HasPrefix(e.Reason, Refuse.String()+":"):
		return Activity{}, false // it was asked for something, and that has events of its own
	}
	a = Activity{
		At: e.At, Name: e.Name, OK: e.OK, Reason: e.Reason, Factor: e.Factor,
		Host: e.Host, Network: e.Network, Agent: e.Agent, Decision: e.Decision,
	}
	words := strings.Fields(e.Detail)
	if len(words) > 0 {
		// What follows is for administrators: reasons, names.
		if did := strings.TrimSuffix(words[0], ":"); strings.Trim(did, "abcdefghijklmnopqrstuvwxyz-_") == "" {
			a.Did = did
		}
	}
	if e.Name == EventAdmin {
		a.Host, a.Network, a.Agent = "", "", "" // the administrator's
		if len(words) > 1 && Kind(words[1]).set() != unknownKind {
			a.Factor = Kind(words[1])
		}
	}
	return a, true
}
