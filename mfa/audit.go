package mfa

import (
	"context"
	"errors"
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
	EventRemember, EventForget, EventProfile, EventKey, EventAppToken, EventAppTokenMade, EventAppTokenRevoked,
	EventCampaign, EventForwardAuth, EventHandOff, EventSource, EventEventsLost,
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
	Until time.Time // not including
}

// auditCalls bounds how often the store is asked for one page: each call looks at so
// many events and no more, whether they match or not.
const auditCalls = 64

// Audit returns at most limit kept events that q matches, newest first, after the
// cursor, and the cursor of the next page ("" at the end). Where many have to be looked
// at for few that match, a page may be short, and goes on behind its cursor all the
// same. ErrNotFound of the user, ErrCursor.
func (a *Administration) Audit(ctx context.Context, q AuditQuery, after string, limit int) (page []Event, next string, err error) {
	if err := a.may(ReadAudit, nil); err != nil {
		return nil, "", err
	}
	query := EventQuery{Name: q.Name, Since: q.Since, Until: q.Until}
	if q.User != "" {
		u, err := a.g.userNamed(ctx, q.User)
		if err != nil {
			return nil, "", err
		}
		query.User = u.ID
	}
	return a.g.events(ctx, query, after, limit)
}

// Activity returns the events of one user as Audit does. An administrator of an
// organization sees those of its members. ErrNotFound, ErrCursor.
func (a *Administration) Activity(ctx context.Context, id UserID, after string, limit int) (page []Event, next string, err error) {
	if _, err := a.user(ctx, ReadUsers, id); err != nil {
		return nil, "", err
	}
	page, next, err = a.g.events(ctx, EventQuery{User: id}, after, limit)
	if of := a.actor.Organization; of != "" {
		for i := range page {
			page[i].within(of, a.actor.User)
		}
	}
	return page, next, err
}

// within takes out of the event what is not for an administrator of that organization to
// see: in which others the user is or has a role, and from where somebody else administrates.
// Whoever may read the audit log sees all of it.
func (e *Event) within(of OrganizationID, reader UserID) {
	if e.Name != EventAdmin || e.ActorID != "" && e.ActorID == reader {
		return
	}
	e.Network, e.Host, e.Session, e.Agent, e.ActorID = "", "", "", "", ""
	words := strings.Fields(e.Detail)
	switch {
	case len(words) == 0:
	case words[0] == "role", words[0] == "invite":
		e.Detail = words[0]
	case slices.Contains(words, "organization") && words[len(words)-1] != string(of):
		e.Detail = strings.Join(words[:len(words)-1], " ")
	}
}

func (g *Gate) events(ctx context.Context, q EventQuery, after string, limit int) (page []Event, next string, err error) {
	page, next = []Event{}, after
	for range auditCalls {
		var part []Event
		if part, next, err = g.cfg.Store.Events(ctx, q, next, limit-len(page)); err != nil {
			return nil, "", err
		}
		if page = append(page, part...); next == "" || len(page) >= limit {
			break
		}
	}
	return page, next, nil
}

// exportPage is how many events are read at once.
const exportPage = 1000

// Export calls each with every kept event in the order in which they were appended,
// beginning with that number (0: the first one), until it answers an error. ErrBusy where
// the same actor does so already, or checks the chain, or too many others do.
func (a *Administration) Export(ctx context.Context, from uint64, each func(Event) error) error {
	if err := a.may(ReadAudit, nil); err != nil {
		return err
	}
	end, ok := a.g.walks.begin(&a.actor)
	if !ok {
		return ErrBusy
	}
	defer end()
	for {
		page, err := a.g.cfg.Store.EventsInOrder(ctx, from, exportPage)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := each(e); err != nil {
				return err
			}
			from = e.Number + 1
		}
		if len(page) < exportPage {
			return nil
		}
	}
}

// Verified is what a verification of the chain of events found.
type Verified struct {
	ChainEnds
	Count int `json:"count"` // events that are kept
	// Broken is the first event that is wrong, and What is wrong with it.
	Broken uint64 `json:"broken,omitempty"`
	What   string `json:"what,omitempty"`
}

// VerifyAudit checks the chain of all kept events. Events that come in meanwhile are not
// part of it. ErrBusy as Export says.
func (a *Administration) VerifyAudit(ctx context.Context) (*Verified, error) {
	return a.VerifyAuditWith(ctx, Chain{})
}

// VerifyAuditWith is VerifyAudit against an event's number and hash that were written down
// elsewhere, see CheckChain.
func (a *Administration) VerifyAuditWith(ctx context.Context, noted Chain) (*Verified, error) {
	if err := a.may(ReadAudit, nil); err != nil {
		return nil, err
	}
	end, ok := a.g.walks.begin(&a.actor)
	if !ok {
		return nil, ErrBusy
	}
	defer end()
	ends, err := CheckChain(ctx, a.g.cfg.Store, noted)
	var broken *ChainError
	if err != nil && !errors.As(err, &broken) {
		return nil, err
	}
	v := &Verified{ChainEnds: ends}
	if ends.First > 0 && ends.Last >= ends.First {
		v.Count = int(ends.Last - ends.First + 1)
	}
	if broken != nil {
		v.Broken, v.What = broken.Number, broken.What
	}
	return v, nil
}

// Decision returns the event of a decision (rule B32). ErrNotFound where there is none, or
// none any more, or it is of somebody whom the actor does not reach.
func (a *Administration) Decision(ctx context.Context, id string) (*Event, error) {
	if !a.actor.Powers.Has(ReadUsers) {
		return nil, ErrNotAllowed
	}
	e, err := a.g.DecisionEvent(ctx, id)
	if err != nil || a.actor.Organization == "" {
		return e, err
	}
	if u, err := a.g.cfg.Store.User(ctx, e.User); err != nil || !a.reaches(u) {
		return nil, fmt.Errorf("decision %q: %w", id, ErrNotFound)
	}
	return e, nil
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
