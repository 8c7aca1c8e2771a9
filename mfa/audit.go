package mfa

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// EventNames are the names of all events.
var EventNames = []EventName{
	EventSignIn, EventSignedIn, EventVerify, EventEnroll, EventRemove, EventRename, EventSkip, EventOptOut, EventOptIn,
	EventSignOut, EventEndSessions, EventPassword, EventLink, EventDecision, EventSessionInvalid, EventAdmin, EventMFAOff,
	EventPolicyRepaired, EventReportOnly, EventSend, EventSendBudget, EventConfirm, EventSignUp, EventForgotten,
	EventRemember, EventForget, EventProfile, EventEventsLost,
}

// ParseEventName reads the name of an event.
func ParseEventName(s string) (EventName, error) {
	if slices.Contains(EventNames, EventName(s)) {
		return EventName(s), nil
	}
	var names []string
	for _, name := range EventNames {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return "", fmt.Errorf("event: %q is none; there are %s", s, strings.Join(names, ", "))
}

// AuditQuery is which events an administrator asks for. Zero fields match everything.
type AuditQuery struct {
	User  string // the name of one
	Name  EventName
	Since time.Time
}

// auditCalls bounds how often the store is asked for one page: each call looks at so
// many events and no more, whether they match or not.
const auditCalls = 64

// Audit returns at most limit kept events that q matches, newest first, after the
// cursor, and the cursor of the next page ("" at the end). Where many have to be looked
// at for few that match, a page may be short, and goes on behind its cursor all the
// same. ErrNotFound of the user, ErrCursor.
func (g *Gate) Audit(ctx context.Context, q AuditQuery, after string, limit int) (page []Event, next string, err error) {
	query := EventQuery{Name: q.Name, Since: q.Since}
	if q.User != "" {
		u, err := g.localUser(ctx, q.User)
		if err != nil {
			return nil, "", err
		}
		query.User = u.ID
	}
	next = after
	for range auditCalls {
		var part []Event
		if part, next, err = g.cfg.Store.Events(ctx, query, next, limit-len(page)); err != nil {
			return nil, "", err
		}
		if page = append(page, part...); next == "" || len(page) >= limit {
			break
		}
	}
	return page, next, nil
}

// DecisionEvent returns the event of a decision (rule B32). ErrNotFound where there is
// none, or none any more.
func (g *Gate) DecisionEvent(ctx context.Context, id string) (*Event, error) {
	id = strings.ToUpper(strings.TrimSpace(id)) // people read it out to each other
	if id != "" {
		// An index leads to the few events of one decision: there are no short pages.
		page, _, err := g.cfg.Store.Events(ctx, EventQuery{Name: EventDecision, Decision: id}, "", 1)
		if err != nil {
			return nil, err
		}
		if len(page) > 0 {
			return &page[0], nil
		}
	}
	return nil, fmt.Errorf("decision %q: %w", id, ErrNotFound)
}
