package caddymodule

import (
	"context"
	"errors"
	"fmt"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/mfa"
)

// audit lists kept events, newest first.
func (d desk) audit(ctx context.Context, in adminRequest) (*adminAnswer, error) {
	limit, err := pageOf(in.Limit)
	if err != nil {
		return nil, err
	}
	q := mfa.AuditQuery{User: in.Name}
	if in.Event != "" {
		if q.Name, err = mfa.ParseEventName(in.Event); err != nil {
			return nil, &inputError{err}
		}
	}
	if in.Since != "" {
		ago, err := mfa.ParseDuration(in.Since)
		if err != nil || ago <= 0 {
			return nil, wrong("since: %q is no duration; write how long ago, for example: --since 24h", in.Since)
		}
		q.Since = clock.Now().Add(-ago)
	}
	events, next, err := d.admin.Audit(ctx, q, in.After, limit)
	if err != nil {
		return nil, err
	}
	if events == nil {
		events = []mfa.Event{}
	}
	return &adminAnswer{Events: events, Next: next}, nil
}

// explain says in words what a decision was about.
func (d desk) explain(ctx context.Context, id string) (*adminAnswer, error) {
	x, err := d.admin.Explain(ctx, id)
	if errors.Is(err, mfa.ErrNotFound) {
		return nil, fmt.Errorf("%w among the events that are kept; is the ID as the page showed it?", err)
	}
	if err != nil {
		return nil, err
	}
	return &adminAnswer{Explanation: x}, nil
}
