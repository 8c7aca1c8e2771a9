package smtp_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/sender/smtp"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func message() *mfa.Message {
	return &mfa.Message{
		ID: "MSG-1", Kind: mfa.LetterVerify, Channel: mfa.Email, To: "alice@example.com", Language: "de",
		Subject: "Zeigen Sie, dass Sie es sind – „Acme“",
		Text:    "Guten Tag,\n\n.der Code – für Sie – lautet\n\n12345678\n\n" + strings.Repeat("lang ", 300) + "\n\n@app.example.com #12345678\n",
		HTML:    "<!DOCTYPE html>\n<p style=\"color:red\">Größe = 5\n.\n</p>\n",
		Code:    mfa.Secret("12345678"),
	}
}

// newSender returns a sender for that server.
func newSender(t *testing.T, s *server, change func(*smtp.Config)) *smtp.Sender {
	t.Helper()
	c := smtp.Config{
		Host: "localhost", Port: s.port, Roots: s.roots, From: `"Acme \"Gate\" GmbH & Söhne" <noreply@mail.example.com>`,
		HELO: "gate.example.com", Timeout: 5 * time.Second, Now: func() time.Time { return noon },
	}
	if s.user != "" {
		c.Username, c.Password = s.user, mfa.Secret(s.password)
	}
	if change != nil {
		change(&c)
	}
	sender, err := smtp.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

// What arrives is what was sent: both parts to the last byte, the headers that a
// message of a program has, over TLS, from whom it says.
func TestSender_Delivers(t *testing.T) {
	tests := []struct {
		name string
		o    options
		mode smtp.Mode
		tls  bool
	}{
		{"STARTTLS", options{tls: "starttls", user: true}, "", true},
		{"TLS", options{tls: "tls", user: true}, smtp.TLS, true},
		{"in the open, to this machine", options{tls: "none", user: true}, smtp.None, false},
		{"without a password", options{tls: "starttls"}, smtp.StartTLS, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, tt.o)
			sender := newSender(t, s, func(c *smtp.Config) { c.TLS = tt.mode })
			m := message()
			if err := sender.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			got := s.deliveries()
			if len(got) != 1 {
				t.Fatalf("%d messages arrived", len(got))
			}
			d := got[0]
			if d.From != "noreply@mail.example.com" || d.To != "alice@example.com" || d.TLS != tt.tls || d.User != s.user || d.UTF8 {
				t.Errorf("the envelope is from %q to %q, TLS %v, user %q, UTF8 %v", d.From, d.To, d.TLS, d.User, d.UTF8)
			}
			checkMessage(t, d.Raw, m)
		})
	}
}

func checkMessage(t *testing.T, raw []byte, m *mfa.Message) {
	t.Helper()
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsAny(line, "\r\n") || bytes.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
			t.Errorf("a line that no mail server has to take: %q", line)
		}
	}
	got, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	decode := new(mime.WordDecoder).DecodeHeader
	for name, want := range map[string]string{
		"Subject":                  m.Subject,
		"Message-Id":               "<" + m.ID + "@mail.example.com>",
		"Date":                     "Thu, 26 Nov 2026 12:00:00 +0000",
		"Auto-Submitted":           "auto-generated",
		"X-Auto-Response-Suppress": "All",
		"Content-Language":         m.Language,
		"Mime-Version":             "1.0",
		"To":                       "<" + m.To + ">",
	} {
		values := got.Header[name]
		if len(values) != 1 {
			t.Errorf("%s: %q", name, values)
			continue
		}
		if value, err := decode(values[0]); err != nil || value != want {
			t.Errorf("%s is %q, want %q, error %v", name, value, want, err)
		}
	}
	if from, err := got.Header.AddressList("From"); err != nil || len(from) != 1 || from[0].Name != `Acme "Gate" GmbH & Söhne` || from[0].Address != "noreply@mail.example.com" {
		t.Errorf("From is %v, error %v", from, err)
	}
	var names []string
	for name := range got.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := "[Auto-Submitted Content-Language Content-Type Date From Message-Id Mime-Version Subject To X-Auto-Response-Suppress]"; fmt.Sprint(names) != want {
		t.Errorf("the headers are %v", names)
	}
	kind, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("it is %q, error %v", kind, err)
	}
	parts := multipart.NewReader(got.Body, params["boundary"])
	for _, want := range []struct{ kind, body string }{{"text/plain", m.Text}, {"text/html", m.HTML}} {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil || kind != want.kind || !strings.EqualFold(params["charset"], "utf-8") || part.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Errorf("a part is %v, error %v", part.Header, err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.ReplaceAll(string(body), "\r\n", "\n"); text != want.body {
			t.Errorf("%s arrived as\n%q, want\n%q", want.kind, text, want.body)
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("after the two parts: %v", err)
	}
}

// A text message's worth of text alone is not wrapped into parts.
func TestSender_TextAlone(t *testing.T) {
	s := newServer(t, options{tls: "starttls"})
	m := message()
	m.HTML = ""
	if err := newSender(t, s, nil).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got, err := mail.ReadMessage(bytes.NewReader(s.deliveries()[0].Raw))
	if err != nil {
		t.Fatal(err)
	}
	if kind := got.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
		t.Errorf("it is %q", kind)
	}
}

// Every try at one message has the same name, so that who got two can tell.
func TestSender_SameMessageSameName(t *testing.T) {
	s := newServer(t, options{tls: "starttls"})
	sender := newSender(t, s, nil)
	for range 2 {
		if err := sender.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range s.deliveries() {
		if !bytes.Contains(d.Raw, []byte("\r\nMessage-ID: <MSG-1@mail.example.com>\r\n")) {
			t.Errorf("another name:\n%s", d.Raw)
		}
	}
}

// Letters beyond ASCII in an address go to servers that can take them, and to no
// other.
func TestSender_OtherLetters(t *testing.T) {
	m := message()
	m.To = "ünal@example.com"
	can := newServer(t, options{tls: "starttls", utf8: true})
	if err := newSender(t, can, nil).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if d := can.deliveries()[0]; d.To != m.To || !d.UTF8 {
		t.Errorf("it went to %q, UTF8 %v", d.To, d.UTF8)
	}
	if err := newSender(t, can, nil).Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if can.deliveries()[1].UTF8 {
		t.Error("a plain address asks for the extension as well")
	}
	cannot := newServer(t, options{tls: "starttls"})
	checkError(t, newSender(t, cannot, nil).Send(t.Context(), m), false, "other letters")
}

// checkError checks what a try that failed is, and that it says nothing secret.
func checkError(t *testing.T, err error, temporary bool, words ...string) {
	t.Helper()
	e, ok := errors.AsType[*mfa.SendError](err)
	if !ok || !errors.Is(err, mfa.ErrNotSent) {
		t.Fatalf("the error is %v", err)
	}
	if e.Temporary != temporary {
		t.Errorf("temporary is %v: %v", e.Temporary, err)
	}
	for _, want := range words {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	for _, secret := range []string{"12345678", "alice@example.com", "alice", "ünal", "correct horse", "wrong battery", "Y29ycmVjdCBob3JzZQ"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error says %q: %v", secret, err)
		}
	}
}

// Whoever sits between us and the server can hide that it offers TLS, and can show a
// certificate of his own. He gets neither code nor password.
func TestSender_RejectsTheOpen(t *testing.T) {
	t.Run("no STARTTLS", func(t *testing.T) {
		port, heard := script(t, "220 mail.test", map[string]string{"EHLO": "250-mail.test\r\n250 AUTH PLAIN LOGIN"})
		sender := newSender(t, &server{port: port, user: "gate", password: "correct horse"}, nil)
		checkError(t, sender.Send(t.Context(), message()), false, "STARTTLS")
		if strings.Contains(heard(), "AUTH") || strings.Contains(heard(), "MAIL") {
			t.Errorf("the server heard %q", heard())
		}
	})
	for _, mode := range []smtp.Mode{smtp.StartTLS, smtp.TLS} {
		t.Run(string(mode)+" with a stranger's certificate", func(t *testing.T) {
			s := newServer(t, options{tls: string(mode), user: true})
			sender := newSender(t, s, func(c *smtp.Config) { c.TLS, c.Roots = mode, x509.NewCertPool() })
			checkError(t, sender.Send(t.Context(), message()), false, "certificate of localhost")
			if len(s.deliveries()) != 0 {
				t.Error("the message was delivered")
			}
		})
		t.Run(string(mode)+" with another host's certificate", func(t *testing.T) {
			s := newServer(t, options{tls: string(mode), user: true})
			sender := newSender(t, s, func(c *smtp.Config) { c.TLS, c.Host = mode, "127.0.0.1" })
			checkError(t, sender.Send(t.Context(), message()), false, "certificate of 127.0.0.1")
		})
	}
	t.Run("TLS to a port without", func(t *testing.T) {
		s := newServer(t, options{tls: "starttls"})
		sender := newSender(t, s, func(c *smtp.Config) { c.TLS = smtp.TLS })
		checkError(t, sender.Send(t.Context(), message()), false, "does not speak TLS")
	})
	t.Run("answers from before STARTTLS", func(t *testing.T) {
		// CVE-2011-0411 and its kind: what was sent in the open must not be taken for
		// an answer that came through TLS.
		port, heard := script(t, "220 mail.test", map[string]string{
			"EHLO":     "250-mail.test\r\n250 STARTTLS",
			"STARTTLS": "220 go on\r\n250-mail.test\r\n250 AUTH PLAIN\r\n235 welcome",
		})
		sender := newSender(t, &server{port: port, user: "gate", password: "correct horse"}, nil)
		if err := sender.Send(t.Context(), message()); err == nil || strings.Contains(heard(), "AUTH") {
			t.Errorf("error %v, heard %q", err, heard())
		}
	})
}

func TestSender_RejectsAWrongPassword(t *testing.T) {
	for _, mode := range []smtp.Mode{smtp.StartTLS, smtp.None} {
		s := newServer(t, options{tls: string(mode), user: true})
		sender := newSender(t, s, func(c *smtp.Config) { c.TLS, c.Password = mode, mfa.Secret("wrong battery") })
		checkError(t, sender.Send(t.Context(), message()), false, "signing in to the server", "535", "refused")
	}
	t.Run("a server that repeats the line", func(t *testing.T) {
		port, heard := script(t, "220 mail.test", map[string]string{
			"EHLO": "250-mail.test\r\n250 AUTH PLAIN",
			"AUTH": "500 what is AUTH PLAIN AGdhdGUAY29ycmVjdCBob3JzZQ== to mean",
		})
		sender := newSender(t, &server{port: port, user: "gate", password: "correct horse"}, func(c *smtp.Config) { c.TLS = smtp.None })
		checkError(t, sender.Send(t.Context(), message()), false, "500 what is AUTH")
		if !strings.Contains(heard(), "AGdhdGUAY29ycmVjdCBob3JzZQ==") {
			t.Errorf("the test does not show what it should: %q", heard())
		}
	})
	t.Run("a server that asks for none", func(t *testing.T) {
		s := newServer(t, options{tls: "starttls"})
		sender := newSender(t, s, func(c *smtp.Config) { c.Username, c.Password = "gate", mfa.Secret("correct horse") })
		checkError(t, sender.Send(t.Context(), message()), false)
	})
}

// Four hundreds and a broken network can be tried again; five hundreds cannot.
func TestSender_Replies(t *testing.T) {
	reply := func(code int, text string) error {
		return &gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.EnhancedCode{code / 100, 1, 1}, Message: text}
	}
	tests := []struct {
		name       string
		rcpt, data error
		temporary  bool
		words      string
	}{
		{"unknown mailbox", reply(550, "<alice@example.com>: no such user Alice here"), nil, false, "naming the recipient: the server said 550 5.1.1 <…>: no such user … here"},
		{"greylisted", reply(450, "alice@example.com is greylisted, come back"), nil, true, "450"},
		{"too busy", reply(421, "too many connections"), nil, true, "421"},
		{"mailbox full", nil, reply(452, "no room"), true, "452"},
		{"taken for spam", nil, reply(554, "your text @app.example.com #12345678 looks bad"), false, "handing the message over: the server said 554"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, options{tls: "starttls"})
			s.refuseRcpt, s.refuseData = tt.rcpt, tt.data
			checkError(t, newSender(t, s, nil).Send(t.Context(), message()), tt.temporary, tt.words)
		})
	}
	lines := []struct {
		name, greeting string
		answers        map[string]string
		temporary      bool
		words          string
	}{
		{"a greeting that asks to come back", "421 busy", nil, true, "421"},
		{"a greeting that refuses", "554 go away", nil, false, "554"},
		{"a sender that is not wanted", "220 hi", map[string]string{"MAIL": "553 not from here"}, false, "naming the sender"},
		{"a sender that is not wanted now", "220 hi", map[string]string{"MAIL": "451 later"}, true, "451"},
		{"closed in the middle", "220 hi", map[string]string{"RCPT": ""}, true, ""},
		{"closed instead of an answer to the message", "220 hi", map[string]string{"END": ""}, true, ""},
	}
	for _, tt := range lines {
		t.Run(tt.name, func(t *testing.T) {
			port, _ := script(t, tt.greeting, tt.answers)
			sender := newSender(t, &server{port: port}, func(c *smtp.Config) { c.TLS = smtp.None })
			checkError(t, sender.Send(t.Context(), message()), tt.temporary, tt.words)
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		checkError(t, newSender(t, &server{port: l.Addr().(*net.TCPAddr).Port}, nil).Send(t.Context(), message()), true, "refused")
	})
}

// Once the server has said yes the message is delivered, whatever comes after.
func TestSender_FarewellDoesNotMatter(t *testing.T) {
	for _, answer := range []string{"", "500 what", "421 gone"} {
		port, heard := script(t, "220 hi", map[string]string{"QUIT": answer})
		sender := newSender(t, &server{port: port}, func(c *smtp.Config) { c.TLS = smtp.None })
		if err := sender.Send(t.Context(), message()); err != nil {
			t.Errorf("%q: %v", answer, err)
		}
		if !strings.Contains(heard(), "QUIT") {
			t.Errorf("%q: no farewell", answer)
		}
	}
}

// A server that hangs costs the time of one try, and less where the caller has less.
func TestSender_Timeout(t *testing.T) {
	hang := func(t *testing.T) *server {
		s := newServer(t, options{tls: "starttls"})
		s.slow = make(chan struct{})
		t.Cleanup(func() { close(s.slow) })
		return s
	}
	silent, _ := script(t, "", nil)
	tests := []struct {
		name             string
		server           *server
		timeout, patient time.Duration
	}{
		{"no answer to the message", hang(t), 200 * time.Millisecond, time.Minute},
		{"no greeting", &server{port: silent}, 200 * time.Millisecond, time.Minute},
		{"a caller with less time", hang(t), time.Minute, 200 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sender := newSender(t, tt.server, func(c *smtp.Config) { c.Timeout = tt.timeout })
			ctx, cancel := context.WithTimeout(t.Context(), tt.patient)
			defer cancel()
			begun := time.Now()
			err := sender.Send(ctx, message())
			checkError(t, err, true)
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// AC-172: nothing in a message can begin another header, another recipient or another
// command. The server hears nothing of such a message.
func TestSender_AC172_RejectsInjection(t *testing.T) {
	s := newServer(t, options{tls: "starttls"})
	sender := newSender(t, s, nil)
	tests := []struct {
		name   string
		change func(*mfa.Message)
	}{
		{"a header in the subject", func(m *mfa.Message) { m.Subject = "Hi\r\nBcc: victim@example.com" }},
		{"a line feed alone", func(m *mfa.Message) { m.Subject = "Hi\nBcc: victim@example.com" }},
		{"a carriage return alone", func(m *mfa.Message) { m.Subject = "Hi\rBcc: victim@example.com" }},
		{"a line separator", func(m *mfa.Message) { m.Subject = "Hi\u2028Bcc: victim@example.com" }},
		{"no subject", func(m *mfa.Message) { m.Subject = "" }},
		{"a command in the address", func(m *mfa.Message) { m.To = "alice@example.com>\r\nRCPT TO:<victim@example.com" }},
		{"two addresses", func(m *mfa.Message) { m.To = "alice@example.com, victim@example.com" }},
		{"two at signs", func(m *mfa.Message) { m.To = "victim@evil.example@example.com" }},
		{"a quoted local part", func(m *mfa.Message) { m.To = `"alice victim"@example.com` }},
		{"a name and an address", func(m *mfa.Message) { m.To = "Alice <alice@example.com>" }},
		{"a parameter", func(m *mfa.Message) { m.To = "alice@example.com> NOTIFY=NEVER" }},
		{"a comment", func(m *mfa.Message) { m.To = "alice@example.com (victim)" }},
		{"an address literal", func(m *mfa.Message) { m.To = "alice@[127.0.0.1]" }},
		{"no address", func(m *mfa.Message) { m.To = "" }},
		{"no domain", func(m *mfa.Message) { m.To = "alice" }},
		{"no local part", func(m *mfa.Message) { m.To = "@example.com" }},
		{"an endless address", func(m *mfa.Message) { m.To = "alice@" + strings.Repeat("a.", 200) + "com" }},
		{"a header in the name of the message", func(m *mfa.Message) { m.ID = "x>\r\nBcc: victim@example.com" }},
		{"no name of the message", func(m *mfa.Message) { m.ID = "" }},
		{"a header in the language", func(m *mfa.Message) { m.Language = "de\r\nBcc: victim@example.com" }},
		{"an empty message", func(m *mfa.Message) { m.Text = "" }},
		{"a text message", func(m *mfa.Message) { m.Channel, m.To = mfa.SMS, "+4930123456" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := message()
			tt.change(m)
			err := sender.Send(t.Context(), m)
			checkError(t, err, false)
			if strings.Contains(err.Error(), "victim") {
				t.Errorf("the error repeats it: %v", err)
			}
		})
	}
	if n := s.visits(); n != 0 {
		t.Errorf("the server had %d visits", n)
	}
}

// Lines of the text that are commands are text.
func TestSender_DotsInTheText(t *testing.T) {
	s := newServer(t, options{tls: "starttls"})
	m := message()
	m.Text = "one\n.\nQUIT\n..two\r\n.\r\nRSET\n"
	if err := newSender(t, s, nil).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	m.Text = strings.ReplaceAll(m.Text, "\r\n", "\n")
	checkMessage(t, s.deliveries()[0].Raw, m)
}

func TestSender_Concurrently(t *testing.T) {
	s := newServer(t, options{tls: "starttls", user: true})
	sender := newSender(t, s, nil)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if err := sender.Send(t.Context(), message()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(s.deliveries()); n != 10 {
		t.Errorf("%d arrived", n)
	}
}

// A configuration that cannot work is refused before anything is sent, with what to
// write instead.
func TestNew_Refuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*smtp.Config)
		words  string
	}{
		{"no host", func(c *smtp.Config) { c.Host = "" }, "host: "},
		{"a port in the host", func(c *smtp.Config) { c.Host = "smtp.example.com:587" }, "host: "},
		{"an address as host", func(c *smtp.Config) { c.Host = "https://smtp.example.com" }, "host: "},
		{"a port that is none", func(c *smtp.Config) { c.Port = 70000 }, "host: "},
		{"no from", func(c *smtp.Config) { c.From = "" }, "from: "},
		{"a from without an address", func(c *smtp.Config) { c.From = "Acme" }, "from: "},
		{"a header in the from", func(c *smtp.Config) { c.From = "Acme <noreply@example.com>\r\nBcc: x@example.com" }, "from: "},
		{"a header in the name of the from", func(c *smtp.Config) { c.From = "=?utf-8?q?A=0D=0ABcc:_x?= <noreply@example.com>" }, "from: "},
		{"a password without a name", func(c *smtp.Config) { c.Username = "" }, "username: "},
		{"a name without a password", func(c *smtp.Config) { c.Password = nil }, "password: "},
		{"an unknown mode", func(c *smtp.Config) { c.TLS = "ssl" }, "tls: "},
		{"in the open to elsewhere", func(c *smtp.Config) { c.TLS = smtp.None }, "tls: "},
		{"a greeting that is no name", func(c *smtp.Config) { c.HELO = "gate\r\nMAIL" }, "helo: "},
		{"a timeout below zero", func(c *smtp.Config) { c.Timeout = -1 }, "timeout: "},
	}
	usual := smtp.Config{Host: "smtp.example.com", From: "noreply@example.com", Username: "gate", Password: mfa.Secret("correct horse")}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := usual
			tt.change(&c)
			_, err := smtp.New(c)
			if err == nil || !strings.HasPrefix(err.Error(), tt.words) || !strings.Contains(err.Error(), "write") && !strings.Contains(err.Error(), "Write") {
				t.Fatalf("the error is %v", err)
			}
			if strings.Contains(err.Error(), "correct horse") {
				t.Errorf("the error says the password: %v", err)
			}
		})
	}
	for _, c := range []smtp.Config{
		usual,
		{Host: "localhost", From: "noreply@example.com", TLS: smtp.None},
		{Host: "::1", From: "noreply@example.com", TLS: smtp.None},
		{Host: "smtp.example.com", From: "noreply@example.com", TLS: smtp.None, Insecure: true},
	} {
		if _, err := smtp.New(c); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
