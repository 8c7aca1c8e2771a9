package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// letter is what reached a mailbox or a phone.
type letter struct {
	To, Subject, Text, HTML string
}

// inbox is what was delivered, whichever way.
type inbox struct {
	mu   sync.Mutex
	list []letter
}

func (b *inbox) put(l letter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, l)
}

// all returns what came for that address.
func (b *inbox) all(to string) []letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []letter
	for _, l := range b.list {
		if l.To == to {
			list = append(list, l)
		}
	}
	return list
}

// next waits for the letter to that address after the first n.
func (b *inbox) next(t testing.TB, to string, n int) letter {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if list := b.all(to); len(list) > n {
			return list[n]
		}
	}
	t.Fatalf("%d letters came for %s, waited for one more", len(b.all(to)), to)
	return letter{}
}

var (
	codeInLetter = regexp.MustCompile(`(?m)^@\S+ #(\d{6,8})$`)
	linkInLetter = regexp.MustCompile(`https?://\S+/\.mfa/link#\S+`)
)

// code is what the last line says, in the form that browsers fill in by themselves.
func (l letter) code(t testing.TB) string {
	t.Helper()
	m := codeInLetter.FindStringSubmatch(strings.ReplaceAll(l.Text, "\r\n", "\n"))
	if m == nil {
		t.Fatalf("there is no code in %q", l.Text)
	}
	return m[1]
}

// mailServer is a mail server on loopback.
type mailServer struct {
	inbox
	port int
	// refuse, where it is set, answers every message.
	refuse error
}

type mailSession struct {
	s  *mailServer
	to string
}

func (m *mailSession) Mail(string, *gosmtp.MailOptions) error { return nil }
func (m *mailSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	m.to = to
	return nil
}
func (m *mailSession) Reset()        { m.to = "" }
func (m *mailSession) Logout() error { return nil }
func (m *mailSession) Data(r io.Reader) error {
	m.s.mu.Lock()
	refuse := m.s.refuse
	m.s.mu.Unlock()
	if refuse != nil {
		return refuse
	}
	l, err := readMail(r)
	if err != nil {
		return err
	}
	l.To = m.to
	m.s.put(l)
	return nil
}

// readMail reads a message with a text and an HTML part.
func readMail(r io.Reader) (letter, error) {
	var l letter
	msg, err := mail.ReadMessage(r)
	if err != nil {
		return l, err
	}
	if l.Subject, err = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); err != nil {
		return l, err
	}
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		return l, err
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			return l, nil
		}
		if err != nil {
			return l, err
		}
		var body io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(p)
		}
		raw, err := io.ReadAll(body)
		if err != nil {
			return l, err
		}
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			l.HTML = string(raw)
		} else {
			l.Text = string(raw)
		}
	}
}

func newMailServer(t testing.TB) *mailServer {
	t.Helper()
	s := new(mailServer)
	server := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return &mailSession{s: s}, nil }))
	server.Domain, server.ErrorLog = "mail.test", log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return s
}

// refuseAll answers every further message with a final refusal.
func (s *mailServer) refuseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = &gosmtp.SMTPError{Code: 554, Message: "no"}
}

// config is the gateway's sender of e-mail.
func (s *mailServer) config() string {
	return fmt.Sprintf(`
		sender email smtp {
			host 127.0.0.1:%d
			from "Acme <no-reply@example.test>"
			tls none
		}`, s.port)
}

// phoneCompany is a stand-in of the provider's messages resource, as strict as the
// provider's documentation says that it is.
type phoneCompany struct {
	inbox
	*httptest.Server
	t testing.TB
}

const (
	smsAccount = "AC0123456789abcdef0123456789abcdef"
	smsToken   = "0123456789abcdef0123456789abcdef"
)

var e164 = regexp.MustCompile(`^\+[1-9]\d{6,14}$`)

func newPhoneCompany(t testing.TB) *phoneCompany {
	t.Helper()
	p := &phoneCompany{t: t}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *phoneCompany) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, token, _ := r.BasicAuth()
	problem := func(status, code int, message string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "message": message, "status": status})
	}
	switch err := r.ParseForm(); {
	case err != nil, r.Method != http.MethodPost, r.URL.Path != "/2010-04-01/Accounts/"+smsAccount+"/Messages.json":
		p.t.Errorf("the provider has no %s %s (%v)", r.Method, r.URL, err)
		problem(http.StatusNotFound, 20404, "not found")
	case user != smsAccount || token != smsToken:
		problem(http.StatusUnauthorized, 20003, "authenticate")
	case r.Header.Get("Content-Type") != "application/x-www-form-urlencoded",
		!e164.MatchString(r.PostForm.Get("To")), r.PostForm.Get("From") != "+15005550006",
		r.PostForm.Get("Body") == "", len(r.PostForm.Get("Body")) > 1600:
		p.t.Errorf("the provider would refuse %v", r.PostForm)
		problem(http.StatusBadRequest, 21602, "a parameter is missing")
	default:
		p.put(letter{To: r.PostForm.Get("To"), Text: r.PostForm.Get("Body")})
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"sid": "SM0123456789abcdef0123456789abcdef", "status": "queued", "error_code": nil})
	}
}

// config is the gateway's sender of text messages.
func (p *phoneCompany) config() string {
	return fmt.Sprintf(`
		sender sms twilio {
			account %s
			token %s
			from +15005550006
			url %s
		}
		sms {
			countries DE
		}`, smsAccount, smsToken, p.URL)
}

// withOptions is the usual site with these lines in the global block.
func withOptions(lines ...string) string {
	return strings.Replace(localhost, "mfa\n", "mfa {\n"+strings.Join(lines, "\n")+"\n\t}\n", 1)
}
