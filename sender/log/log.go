// Package log prints messages instead of sending them, so that somebody who tries the
// gateway sees codes and links without a mail server or a provider of text messages.
//
// Whoever reads the log can then pass for anybody: the log is part of every factor. It
// is for trials only, and New says so until it is told that it knows.
package log

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/secondgate/secondgate/mfa"
)

// Config says where messages are printed.
type Config struct {
	// InsecureTrial says that whoever set this up knows what it means.
	InsecureTrial bool
	Logger        *slog.Logger // one line for each message
	Writer        io.Writer    // the message as its reader would see it; nil: no other place
}

// Sender prints messages.
type Sender struct {
	cfg Config
	mu  sync.Mutex // of the writer
}

// New returns a sender that prints, or an error that says why there is none.
func New(c Config) (*Sender, error) {
	if !c.InsecureTrial {
		return nil, errors.New("insecure_trial: is missing: codes and links are printed in the log, so that whoever reads it can pass for anybody; for a trial write log { insecure_trial }, otherwise another sender")
	}
	if c.Logger == nil && c.Writer == nil {
		return nil, errors.New("there is neither a log nor a writer to print to")
	}
	return &Sender{cfg: c}, nil
}

// Send prints the message: see mfa.Sender.
func (s *Sender) Send(ctx context.Context, m *mfa.Message) error {
	if l := s.cfg.Logger; l != nil {
		l.WarnContext(ctx, "a message of this trial, which nobody else gets",
			"channel", string(m.Channel), "to", m.To, "subject", m.Subject, "text", m.Text)
	}
	if s.cfg.Writer == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	head := "To: " + m.To + "\n"
	if m.Subject != "" {
		head += "Subject: " + m.Subject + "\n"
	}
	if _, err := fmt.Fprintf(s.cfg.Writer, "%s\n%s\n", head, m.Text); err != nil {
		return &mfa.SendError{Err: fmt.Errorf("printing a message: %w", err)}
	}
	return nil
}

var _ mfa.Sender = (*Sender)(nil)
