package mfa

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// LetterKind says what a letter is about.
type LetterKind string

// The letters. Package sender has the words of each.
const (
	LetterVerify        LetterKind = "verify"         // a code that proves a second factor
	LetterSetUp         LetterKind = "set_up"         // a code that sets an address up as a factor, or confirms one on file
	LetterSignIn        LetterKind = "sign_in"        // a code that signs in
	LetterSignUp        LetterKind = "sign_up"        // a code that makes an account
	LetterHasAccount    LetterKind = "has_account"    // somebody asked for an account with an address that has one
	LetterPasswordReset LetterKind = "password_reset" // a link that replaces a password
	LetterInvitation    LetterKind = "invitation"     // a link that makes an account
	LetterNotice        LetterKind = "notice"         // something happened; see Notice
	LetterCampaign      LetterKind = "campaign"       // a campaign reminds; see CampaignPrompt
)

// Letter is what the gate tells one person on one channel. It holds facts, no
// words: whoever delivers it says them in the person's language.
type Letter struct {
	Kind     LetterKind
	Channel  Kind   // Email or SMS
	To       string // an address as it is kept, or a number as E.164 writes it
	Language string // BCP 47, as the person's browser asked for it; empty: the default
	Origin   string // the page that asked: "https://app.example.com"
	UserName string // empty in letters to strangers
	Code     Secret // of the four kinds with a code
	Link     Secret // of the two kinds with a link; of LetterCampaign where there is one
	Life     time.Duration
	Notice   *Notice         // of LetterNotice
	Campaign *CampaignPrompt // of LetterCampaign
}

// maxLanguage bounds what is kept of a browser's language (BCP 47 tags are shorter).
const maxLanguage = 35

// Post delivers letters. It is safe for concurrent use. Package sender
// implements it.
type Post interface {
	// Channels returns the channels that have a sender.
	Channels() Kinds
	// Send delivers a letter and returns nil when the sender's other side has
	// taken it. It tries again where that can help, for as long as ctx allows.
	// ErrBusy where too many are under way, ErrNotSent where it cannot be
	// delivered. Nothing secret is in the error's text.
	Send(ctx context.Context, l *Letter) error
	// Queue is Send without waiting: for notices, and for letters to people who
	// have not proven anything, to whom the time that it takes would tell whether
	// they exist. What does not fit into the queue is dropped, and false returned.
	Queue(l *Letter) bool
}

// ErrNotSent says that a letter could not be delivered.
var ErrNotSent = errors.New("not sent")

// Message is a letter in words, as one sender delivers it.
type Message struct {
	// ID is the same for every try at one letter, so that a provider that heard us
	// the first time delivers once.
	ID       string
	Kind     LetterKind
	Channel  Kind
	To       string
	Language string
	Subject  string // of an e-mail message
	Text     string
	HTML     string // of an e-mail message; empty: text alone
	Code     Secret // what Text says, for gateways with templates of their own
	Expires  time.Time
}

// Sender takes messages to one provider. It is safe for concurrent use; its
// packages are below sender.
type Sender interface {
	// Send makes one try and returns nil once the provider has taken the message.
	// A *SendError says whether another try can help; any other error is final.
	// Neither a code nor a credential of the provider may be in the error's text.
	Send(ctx context.Context, m *Message) error
}

// SendError is a try that failed.
type SendError struct {
	Temporary bool          // another try can help
	After     time.Duration // the provider asks for so much patience; 0: it said nothing
	Err       error
}

// Error says what went wrong.
func (e *SendError) Error() string { return fmt.Sprintf("sending a message: %v", e.Err) }

// Unwrap makes a SendError an ErrNotSent.
func (e *SendError) Unwrap() []error { return []error{ErrNotSent, e.Err} }

// SentCodes makes and checks the codes that letters carry, and knows addresses and
// numbers. Package factor/otpcode implements it.
type SentCodes interface {
	// New returns a code of the channel's length (Email 8 digits, SMS 6), and what
	// is kept of it.
	New(channel Kind) (code, kept Secret, err error)
	// Matches reports whether the code that was entered is the one of which kept is
	// kept, in a time that does not depend on either. Spaces and dashes are
	// forgiven.
	Matches(kept Secret, entered string) bool
	// Address returns the one spelling of an address or a number that is kept:
	// lower case, E.164. ErrName where it is none; ErrCountry where it is a number
	// to which no text message goes (a country that is not allowed, a premium
	// number, a landline).
	Address(channel Kind, entered string) (string, error)
	// Mask returns the address as its owner recognises it and nobody else:
	// "al****@example.com", "•••• 42".
	Mask(channel Kind, address string) string
	// Display returns the address as people write it: "+49 30 123456".
	Display(channel Kind, address string) string
}

// ErrCountry says that no text message goes to a number.
var ErrCountry = errors.New("no text message goes to this number")
