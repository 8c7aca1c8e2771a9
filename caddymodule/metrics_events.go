package caddymodule

import (
	"context"

	"github.com/secondgate/secondgate/mfa"
)

// countEvents counts what the events tell. It stands before everything that leaves
// events out: a flood that is told once a minute is counted whole.
type countEvents struct{ *metrics }

// Record implements mfa.Events.
func (c countEvents) Record(_ context.Context, e mfa.Event) {
	switch e.Name {
	case mfa.EventSignIn:
		c.signIns.WithLabelValues(factorLabel(e.Factor), outcomeLabel(e)).Inc()
	case mfa.EventSignedIn:
		c.completed.Inc()
	case mfa.EventSignUp:
		c.signUps.WithLabelValues(outcomeLabel(e)).Inc()
	case mfa.EventVerify:
		factor := factorLabel(e.Factor)
		if e.Factor == "" && e.Detail == string(mfa.ForBypass) {
			factor = "bypass"
		}
		c.verifications.WithLabelValues(factor, outcomeLabel(e)).Inc()
	case mfa.EventEnroll:
		c.setUps.WithLabelValues(factorLabel(e.Factor), outcomeLabel(e)).Inc()
	}
	if !e.OK && e.Reason == "throttled" {
		c.throttled.WithLabelValues(label(steps, e.Name)).Inc()
	}
}

var _ mfa.Events = countEvents{}
