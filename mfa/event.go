package mfa

import (
	"context"
	"time"
)

// EventName names a fact. The names are stable: operators filter by them.
type EventName string

// The events.
const (
	EventSignIn          EventName = "sign_in"   // a first factor was tried
	EventSignedIn        EventName = "signed_in" // a session was completed
	EventVerify          EventName = "verify"    // a second factor was tried
	EventEnroll          EventName = "enroll"    // a factor was tried to be set up
	EventRemove          EventName = "remove_factor"
	EventRename          EventName = "rename_factor"
	EventSkip            EventName = "skip"
	EventOptOut          EventName = "opt_out"
	EventOptIn           EventName = "opt_in"
	EventSignOut         EventName = "sign_out"
	EventEndSessions     EventName = "end_sessions"
	EventPassword        EventName = "change_password"
	EventLink            EventName = "link"            // a link was used
	EventDecision        EventName = "decision"        // Refuse, SetUp, StepUp of a known user
	EventSessionInvalid  EventName = "session_invalid" // a token that nobody of us issued so
	EventAdmin           EventName = "admin"           // an administrator changed a user
	EventMFAOff          EventName = "mfa_off"         // rule B2
	EventPolicyRepaired  EventName = "policy_repaired" // what is stored does not fit the configuration (rule B1)
	EventReportOnly      EventName = "report_only"     // what would have been asked (rule B18)
	EventSend            EventName = "send"            // a code was sent, or not
	EventSendBudget      EventName = "send_budget"     // half, or all, of the day's text messages are sent
	EventConfirm         EventName = "confirm"         // an address on file was confirmed (rule B17)
	EventSignUp          EventName = "sign_up"         // somebody made an account
	EventForgotten       EventName = "forgotten"       // a link for a forgotten password was asked for
	EventRemember        EventName = "remember_device" // a browser is to stand for a second factor
	EventProfile         EventName = "change_profile"  // the name or the address of the account
	EventForget          EventName = "forget_device"   // … no more
	EventKey             EventName = "api_key"         // a key that opens nothing was tried
	EventAppToken        EventName = "app_token"       // an app token that opens nothing was tried
	EventAppTokenMade    EventName = "create_app_token"
	EventAppTokenRevoked EventName = "revoke_app_token"
	EventCampaign        EventName = "campaign"     // a reminder of a campaign went out, or its deadline was dealt with (rule B37)
	EventForwardAuth     EventName = "forward_auth" // another proxy's question was refused unread
	EventHandOff         EventName = "hand_off"     // a session at the portal went on to another host
	EventSource          EventName = "source"       // an identity source could not be asked, or said what cannot be kept
	EventEventsLost      EventName = "events_lost"  // so many as Detail says were not kept
)

// Event is one fact: who tried what, and how it ended. No secret is in it.
type Event struct {
	At       time.Time `json:"at,omitzero"`
	Name     EventName `json:"name,omitempty"`
	OK       bool      `json:"ok,omitempty"`
	Reason   string    `json:"reason,omitempty"` // rule or cause, one word
	User     UserID    `json:"user,omitempty"`
	UserName string    `json:"user_name,omitempty"`
	Factor   Kind      `json:"factor,omitempty"`
	Session  string    `json:"session,omitempty"` // truncated hash of the session's ID
	Network  string    `json:"network,omitempty"`
	Host     string    `json:"host,omitempty"`
	Agent    string    `json:"agent,omitempty"`    // the browser, as people know it
	Decision string    `json:"decision,omitempty"` // ID of the decision
	Detail   string    `json:"detail,omitempty"`   // for administrators: which command, which credential
	// Actor is which administrator or key did it, in words, and ActorID the user, where
	// it is one.
	Actor   string `json:"actor,omitempty"`
	ActorID UserID `json:"actor_id,omitempty"`
	// Number counts the kept events from 1 on. The store gives it, and the hash that
	// chains the event to the one before (see Link): it must stay the last field.
	Number uint64 `json:"number,omitempty"`
	Hash   string `json:"hash,omitempty"`
}

// Events takes events. Record must not block and must be safe for concurrent
// use.
type Events interface {
	Record(ctx context.Context, e Event)
}

// KeptEvents is Events that can also say whether an event was kept.
type KeptEvents interface {
	Events
	// Keep puts the event in order behind those that were recorded before, and returns
	// when it is kept. Where it answers an error, the event may be missing: what it tells
	// of must not be done. It is safe for concurrent use.
	Keep(ctx context.Context, e Event) error
}
