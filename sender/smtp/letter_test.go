package smtp_test

import (
	"bytes"
	"mime"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/sender"
)

// AC-172, from end to end: somebody calls himself, his passkey and his company what
// would be headers, and asks for every letter that there is. One message arrives for
// each, with the headers of a message, for the one recipient, and with its own subject
// alone.
func TestPost_AC172_ThroughAMailServer(t *testing.T) {
	s := newServer(t, options{tls: "starttls"})
	const name = "alice\r\nBcc: victim@example.com\r\n\r\n<h1>Hi</h1>\r\n.\r\nMAIL FROM:<x@example.com>"
	p, err := sender.New(sender.Config{
		Senders: map[mfa.Kind]mfa.Sender{mfa.Email: newSender(t, s, nil)},
		Brand:   sender.Brand{Name: "Acme" + name, Support: name}, Tries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	kinds := []mfa.LetterKind{
		mfa.LetterVerify, mfa.LetterSetUp, mfa.LetterSignIn, mfa.LetterSignUp,
		mfa.LetterHasAccount, mfa.LetterPasswordReset, mfa.LetterInvitation, mfa.LetterNotice,
	}
	for _, kind := range kinds {
		err := p.Send(t.Context(), &mfa.Letter{
			Kind: kind, Channel: mfa.Email, To: "alice@example.com", Language: "en\r\nBcc: victim@example.com",
			Origin: "https://app.example.com", UserName: name, Code: mfa.Secret("12345678"),
			Link: mfa.Secret("https://app.example.com/.mfa/link#x"), Life: 5 * time.Minute,
			Notice: &mfa.Notice{Kind: mfa.NoticeAdded, At: noon, Factor: mfa.Passkey, Name: name, Agent: name, Network: name},
		})
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	got := s.deliveries()
	if len(got) != len(kinds) {
		t.Fatalf("%d messages arrived, want %d", len(got), len(kinds))
	}
	names := map[string]bool{}
	for i, d := range got {
		m, err := mail.ReadMessage(bytes.NewReader(d.Raw))
		if err != nil {
			t.Fatal(err)
		}
		if d.To != "alice@example.com" || len(m.Header) != 10 || m.Header.Get("Bcc") != "" {
			t.Errorf("%s: to %s with %v", kinds[i], d.To, m.Header)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil || strings.ContainsAny(subject, "\r\n") || !strings.HasPrefix(subject, "Acmealice Bcc: victim@example.com") {
			t.Errorf("%s: the subject is %q, error %v", kinds[i], subject, err)
		}
		if id := m.Header.Get("Message-Id"); !strings.HasSuffix(id, "@mail.example.com>") || names[id] {
			t.Errorf("%s: its name is %s", kinds[i], id)
		} else {
			names[id] = true
		}
	}
}
