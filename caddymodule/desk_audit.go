package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

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

// exportPage is how many events one answer of an export holds.
const exportPage = 5000

// export returns kept events in the order in which they were appended.
func (d desk) export(ctx context.Context, in adminRequest) (*adminAnswer, error) {
	answer := &adminAnswer{Events: []mfa.Event{}}
	enough := errors.New("enough")
	err := d.admin.Export(ctx, in.From, func(e mfa.Event) error {
		if len(answer.Events) >= exportPage {
			answer.Next = fmt.Sprint(e.Number)
			return enough
		}
		answer.Events = append(answer.Events, e)
		return nil
	})
	if err != nil && !errors.Is(err, enough) {
		return nil, err
	}
	return answer, nil
}

// verify checks the chain of all kept events.
func (d desk) verify(ctx context.Context, in adminRequest) (*adminAnswer, error) {
	noted, err := parseHead(in.Head)
	if err != nil {
		return nil, err
	}
	v, err := d.admin.VerifyAuditWith(ctx, noted)
	return &adminAnswer{Verified: v}, err
}

// parseHead reads NUMBER:HASH; nothing is the zero value.
func parseHead(text string) (mfa.Chain, error) {
	var c mfa.Chain
	if text == "" {
		return c, nil
	}
	number, hash, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(number, 10, 64)
	if raw, bad := hex.DecodeString(hash); err != nil || n == 0 || bad != nil || len(raw) != sha256.Size {
		return c, wrong("%q is no head; write the number and the hash that audit verify printed, for example: --head 1234:9f86d081…", text)
	}
	return mfa.Chain{Number: n, Hash: strings.ToLower(hash)}, nil
}
