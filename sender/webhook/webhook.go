package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/secondgate/secondgate/internal/outbound"
	"github.com/secondgate/secondgate/mfa"
)

// Config says where messages go.
type Config struct {
	// URL takes the messages. It begins with https://, but on this machine itself.
	URL string
	// Secret signs them: "whsec_" and the base64 of 24 bytes or more, or 24 bytes or
	// more as they are.
	Secret mfa.Secret

	Roots *x509.CertPool // whose certificates hold; nil: the system's
	Now   func() time.Time
}

// prefix marks a secret that is written in base64.
const prefix = "whsec_"

// minSecret is how many bytes a secret has at least.
const minSecret = 24

// key returns the bytes that sign.
func (c Config) key() ([]byte, error) {
	secret := string(c.Secret)
	if secret == "" {
		return nil, errors.New("secret: is missing; write for example: secret {env.WEBHOOK_SECRET}")
	}
	raw := []byte(secret)
	if text, ok := strings.CutPrefix(secret, prefix); ok {
		var err error
		if raw, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, errors.New("secret: what follows whsec_ is not base64; make one with: echo whsec_$(openssl rand -base64 32)")
		}
	}
	if len(raw) < minSecret {
		return nil, fmt.Errorf("secret: has %d bytes, and fewer than %d can be guessed; make one with: echo whsec_$(openssl rand -base64 32)", len(raw), minSecret)
	}
	return raw, nil
}

// Validate returns what is wrong, and what to write instead. Each error begins with
// the name of the option that it is about.
func (c Config) Validate() error {
	if c.URL == "" {
		return errors.New("url: is missing; write for example: url https://sms.example.com/send")
	}
	if err := outbound.CheckURL(c.URL); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	_, err := c.key()
	return err
}

// Sender hands messages to one gateway.
type Sender struct {
	cfg    Config
	key    []byte
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
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	return &Sender{cfg: c, key: key, client: outbound.NewClient(c.Roots)}, nil
}

// payload is the message as JSON. docs/senders.md describes it to those who read it:
// fields are added, and none is changed.
type payload struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"`
	Channel  string     `json:"channel"`
	To       string     `json:"to"`
	Language string     `json:"language"`
	Subject  string     `json:"subject,omitempty"`
	Text     string     `json:"text"`
	HTML     string     `json:"html,omitempty"`
	Code     string     `json:"code,omitempty"`
	Expires  *time.Time `json:"expires,omitempty"`
}

// plainID is a name that can be signed: a dot in it would move the borders of what
// the signature covers.
var plainID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Send makes one try: see mfa.Sender.
func (s *Sender) Send(ctx context.Context, m *mfa.Message) error {
	if !plainID.MatchString(m.ID) {
		return &mfa.SendError{Err: errors.New("the message has no name that can be signed")}
	}
	p := payload{
		ID: m.ID, Kind: string(m.Kind), Channel: string(m.Channel), To: m.To, Language: m.Language,
		Subject: m.Subject, Text: m.Text, HTML: m.HTML, Code: string(m.Code),
	}
	if !m.Expires.IsZero() {
		at := m.Expires.UTC()
		p.Expires = &at
	}
	body, err := json.Marshal(p)
	if err != nil {
		return &mfa.SendError{Err: errors.New("the message cannot be written as JSON")}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return &mfa.SendError{Err: errors.New("the address of the gateway cannot be asked")}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "secondgate")
	s.sign(r.Header, m.ID, body)
	a, err := outbound.Do(s.client, r)
	switch {
	case err != nil:
		return &mfa.SendError{Temporary: outbound.Broken(err), Err: fmt.Errorf("asking the gateway: %w", err)}
	case a.OK():
		return nil
	}
	// What it says besides is not ours to repeat: it may be what we sent.
	return &mfa.SendError{
		Temporary: a.Temporary(), After: a.RetryAfter(s.cfg.Now()),
		Err: fmt.Errorf("the gateway answered with the status %d", a.Status),
	}
}

// sign adds the three headers of the Standard Webhooks specification. The time is that
// of the try: a receiver refuses old ones, so that a request that was overheard cannot
// be sent again.
func (s *Sender) sign(h http.Header, id string, body []byte) {
	at := strconv.FormatInt(s.cfg.Now().Unix(), 10)
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", at)
	h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

var _ mfa.Sender = (*Sender)(nil)
