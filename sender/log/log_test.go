package log_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/sender/log"
)

var message = mfa.Message{
	ID: "MSG-1", Channel: mfa.Email, To: "alice@example.com", Subject: "Your code",
	Text: "12345678\n\n@app.example.com #12345678\n", HTML: "<p>12345678</p>", Code: mfa.Secret("12345678"),
}

// Nobody gets codes into a log by leaving something out.
func TestNew_WantsToBeTold(t *testing.T) {
	_, err := log.New(log.Config{Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.HasPrefix(err.Error(), "insecure_trial: ") {
		t.Errorf("the error is %v", err)
	}
	if _, err := log.New(log.Config{InsecureTrial: true}); err == nil {
		t.Error("there is nowhere to print to")
	}
}

func TestSender_Prints(t *testing.T) {
	var lines, text bytes.Buffer
	s, err := log.New(log.Config{InsecureTrial: true, Logger: slog.New(slog.NewTextHandler(&lines, nil)), Writer: &text})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), &message); err != nil {
		t.Fatal(err)
	}
	if want := "To: alice@example.com\nSubject: Your code\n\n12345678\n\n@app.example.com #12345678\n\n"; text.String() != want {
		t.Errorf("it printed %q, want %q", text.String(), want)
	}
	if got := lines.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "12345678") || !strings.Contains(got, "level=WARN") {
		t.Errorf("it logged %q", got)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestSender_SaysWhatIsBroken(t *testing.T) {
	s, err := log.New(log.Config{InsecureTrial: true, Writer: broken{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), &message); !errors.Is(err, mfa.ErrNotSent) || strings.Contains(err.Error(), "12345678") {
		t.Errorf("the error is %v", err)
	}
}
