package twilio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/secondgate/secondgate/internal/outbound"
	"github.com/secondgate/secondgate/internal/quote"
	"github.com/secondgate/secondgate/mfa"
)

// Sender sends text messages from one account.
type Sender struct {
	cfg    Config
	url    string
	client *http.Client
}

// New checks the configuration. It opens no connection.
func New(c Config) (*Sender, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Sender{
		cfg: c, client: outbound.NewClient(nil),
		url: strings.TrimSuffix(c.base(), "/") + "/2010-04-01/Accounts/" + c.AccountSID + "/Messages.json",
	}, nil
}

const (
	maxBody = 1600 // characters that Twilio takes
	// maxValidity is how long a message can wait at Twilio, in seconds. Messages with
	// a code wait no longer than the code holds.
	maxValidity = 14400
)

// Send makes one try: see mfa.Sender.
func (s *Sender) Send(ctx context.Context, m *mfa.Message) error {
	form, err := s.form(m)
	if err != nil {
		return &mfa.SendError{Err: err}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(form.Encode()))
	if err != nil {
		return &mfa.SendError{Err: errors.New("the address of the account cannot be asked")}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "secondgate")
	if s.cfg.KeySID != "" {
		r.SetBasicAuth(s.cfg.KeySID, string(s.cfg.KeySecret))
	} else {
		r.SetBasicAuth(s.cfg.AccountSID, string(s.cfg.AuthToken))
	}
	a, err := outbound.Do(s.client, r)
	if err != nil {
		return &mfa.SendError{Temporary: outbound.Broken(err), Err: fmt.Errorf("asking Twilio: %w", err)}
	}
	return s.read(a, m)
}

func (s *Sender) form(m *mfa.Message) (url.Values, error) {
	switch {
	case m.Channel != mfa.SMS:
		return nil, fmt.Errorf("a message for %q is no text message", m.Channel)
	case !number.MatchString(m.To):
		return nil, errors.New("the number is not written as E.164 writes it")
	case m.Text == "" || utf8.RuneCountInString(m.Text) > maxBody:
		return nil, fmt.Errorf("the text has %d characters, and Twilio takes 1 to %d", utf8.RuneCountInString(m.Text), maxBody)
	}
	form := url.Values{"To": {m.To}, "Body": {m.Text}}
	if s.cfg.ServiceSID != "" {
		form.Set("MessagingServiceSid", s.cfg.ServiceSID)
	} else {
		form.Set("From", s.cfg.From)
	}
	if !m.Expires.IsZero() {
		left := int(m.Expires.Sub(s.cfg.Now()) / time.Second)
		if left < 1 {
			return nil, errors.New("it holds no longer")
		}
		form.Set("ValidityPeriod", strconv.Itoa(min(left, maxValidity)))
	}
	return form, nil
}

// reply is what Twilio answers: the message, or what is wrong with the request.
type reply struct {
	SID       string `json:"sid"`
	ErrorCode *int   `json:"error_code"` // of a message

	Code    int    `json:"code"` // of a refusal
	Message string `json:"message"`
}

// later are refusals that end by themselves, whatever the status they come with:
// messages come too fast, a queue is full.
var later = map[int]bool{14107: true, 20429: true, 21611: true}

// read says what an answer means.
func (s *Sender) read(a *outbound.Answer, m *mfa.Message) error {
	var r reply
	err := json.Unmarshal(a.Body, &r)
	switch {
	case a.OK() && err == nil && r.SID != "" && (r.ErrorCode == nil || *r.ErrorCode == 0):
		return nil
	case a.OK() && err == nil && r.ErrorCode != nil:
		return &mfa.SendError{Err: fmt.Errorf("twilio refused the message with its code %d", *r.ErrorCode)}
	case a.OK():
		// Somebody took something, so that another try could be a second message.
		return &mfa.SendError{Err: fmt.Errorf("the answer has the status %d and is not one of Twilio's", a.Status)}
	}
	e := &mfa.SendError{Temporary: a.Temporary() || later[r.Code], After: a.RetryAfter(s.cfg.Now())}
	if err != nil || r.Code == 0 {
		e.Err = fmt.Errorf("twilio answered with the status %d", a.Status)
		return e
	}
	e.Err = fmt.Errorf("twilio answered with the status %d and its code %d: %s%s", a.Status, r.Code,
		quote.Words(r.Message, m.To, string(m.Code), string(s.cfg.AuthToken), string(s.cfg.KeySecret)), hint(r.Code))
	return e
}

// hint says what the operator can do about a refusal.
func hint(code int) string {
	switch code {
	case 20003:
		return " (check the account, and its token or key)"
	case 20404:
		return " (check the account)"
	case 21211, 21614:
		return " (no text message reaches this number)"
	case 21408:
		return " (allow the country in Twilio's console)"
	case 21606, 21659, 21660:
		return " (check from: the account cannot send with it)"
	case 21608:
		return " (a trial account only reaches numbers that were verified there)"
	case 21610:
		return " (this person has answered STOP)"
	}
	return ""
}

var _ mfa.Sender = (*Sender)(nil)
