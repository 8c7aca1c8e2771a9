package twilio_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/sender/twilio"
)

const (
	account = "AC0123456789abcdef0123456789abcdef"
	key     = "SK0123456789abcdef0123456789abcdef"
	service = "MG0123456789abcdef0123456789abcdef"
	token   = "sesame-open"
	text    = "123456 is your Acme code – größer als & = + ?\n@app.example.com #123456"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// standIn answers as Twilio does, and refuses as Twilio does whatever its
// documentation does not allow.
type standIn struct {
	*httptest.Server
	status int    // 0: 201
	answer string // "": what Twilio says of a message that it took
	header http.Header

	mu   sync.Mutex
	got  []url.Values
	user string
}

var e164 = regexp.MustCompile(`^\+[1-9]\d{1,14}$`)

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	s := new(standIn)
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// allowed are the parameters that we send of those that the resource has.
var allowed = map[string]bool{"To": true, "From": true, "MessagingServiceSid": true, "Body": true, "ValidityPeriod": true}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status, code int, format string, args ...any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"code": %d, "message": %q, "more_info": "https://www.twilio.com/docs/errors/%d", "status": %d}`, code, fmt.Sprintf(format, args...), code, status)
	}
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	user, password, ok := r.BasicAuth()
	switch {
	case !ok || user == account && password != token || user == key && password != token || user != account && user != key:
		refuse(401, 20003, "Authenticate")
		return
	case r.URL.Path != "/2010-04-01/Accounts/"+account+"/Messages.json" || r.URL.RawQuery != "":
		refuse(404, 20404, "The requested resource %s was not found", r.URL.Path)
		return
	case r.Method != http.MethodPost:
		refuse(405, 20004, "Method not allowed")
		return
	case r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || err != nil:
		refuse(400, 20422, "The body is no form")
		return
	case !e164.MatchString(form.Get("To")):
		refuse(400, 21211, "The 'To' number %s is not a valid phone number.", form.Get("To"))
		return
	case form.Has("From") == form.Has("MessagingServiceSid"):
		refuse(400, 21603, "A 'From' phone number is required.")
		return
	case !utf8.ValidString(form.Get("Body")) || form.Get("Body") == "":
		refuse(400, 21602, "Message body is required.")
		return
	case utf8.RuneCountInString(form.Get("Body")) > 1600:
		refuse(400, 21617, "The concatenated message body exceeds the 1600 character limit")
		return
	case form.Has("ValidityPeriod") && !regexp.MustCompile(`^[1-9]\d{0,4}$`).MatchString(form.Get("ValidityPeriod")):
		refuse(400, 21624, "The validity period is not valid")
		return
	}
	for name, values := range form {
		if !allowed[name] || len(values) != 1 {
			refuse(400, 20001, "The parameter %s is not known", name)
			return
		}
	}
	s.mu.Lock()
	s.got, s.user = append(s.got, form), user
	s.mu.Unlock()
	for name, values := range s.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/json")
	if s.status == 0 {
		w.WriteHeader(http.StatusCreated)
	} else {
		w.WriteHeader(s.status)
	}
	if s.answer == "" && s.status == 0 {
		s.answer = `{"sid": "SM0123456789abcdef0123456789abcdef", "status": "queued", "error_code": null, "error_message": null, "num_segments": "1"}`
	}
	fmt.Fprint(w, s.answer)
}

func message() *mfa.Message {
	return &mfa.Message{
		ID: "MSG-1", Kind: mfa.LetterVerify, Channel: mfa.SMS, To: "+4930123456", Language: "en",
		Text: text, Code: mfa.Secret("123456"), Expires: noon.Add(5 * time.Minute),
	}
}

func newSender(t *testing.T, s *standIn, change func(*twilio.Config)) *twilio.Sender {
	t.Helper()
	c := twilio.Config{
		AccountSID: account, AuthToken: mfa.Secret(token), From: "+15005550006", BaseURL: s.URL,
		Now: func() time.Time { return noon },
	}
	if change != nil {
		change(&c)
	}
	sender, err := twilio.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

func TestSender_Sends(t *testing.T) {
	tests := []struct {
		name   string
		change func(*twilio.Config)
		user   string
		want   string
	}{
		{"from a number", nil, account, "From=+15005550006"},
		{"from a name", func(c *twilio.Config) { c.From = "Acme 24" }, account, "From=Acme 24"},
		{"from a short code", func(c *twilio.Config) { c.From = "12345" }, account, "From=12345"},
		{"by a service", func(c *twilio.Config) { c.From, c.ServiceSID = "", service }, account, "MessagingServiceSid=" + service},
		{"with a key", func(c *twilio.Config) { c.AuthToken, c.KeySID, c.KeySecret = nil, key, mfa.Secret(token) }, key, "From=+15005550006"},
		{"an address with a slash", func(c *twilio.Config) { c.BaseURL += "/" }, account, "From=+15005550006"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStandIn(t)
			if err := newSender(t, s, tt.change).Send(t.Context(), message()); err != nil {
				t.Fatal(err)
			}
			form := s.got[0]
			name, value, _ := strings.Cut(tt.want, "=")
			if form.Get(name) != value || form.Get("To") != "+4930123456" || form.Get("Body") != text || form.Get("ValidityPeriod") != "300" || s.user != tt.user {
				t.Errorf("it sent %v as %s", form, s.user)
			}
		})
	}
	t.Run("what does not expire", func(t *testing.T) {
		s := newStandIn(t)
		m := message()
		m.Expires = time.Time{}
		if err := newSender(t, s, nil).Send(t.Context(), m); err != nil || s.got[0].Has("ValidityPeriod") {
			t.Errorf("error %v, sent %v", err, s.got)
		}
	})
	t.Run("what holds for days", func(t *testing.T) {
		s := newStandIn(t)
		m := message()
		m.Expires = noon.Add(72 * time.Hour)
		if err := newSender(t, s, nil).Send(t.Context(), m); err != nil || s.got[0].Get("ValidityPeriod") != "14400" {
			t.Errorf("error %v, sent %v", err, s.got)
		}
	})
}

func checkError(t *testing.T, err error, temporary bool, after time.Duration, words string) {
	t.Helper()
	e, ok := errors.AsType[*mfa.SendError](err)
	if !ok {
		t.Fatalf("the error is %v", err)
	}
	if e.Temporary != temporary || e.After != after || !strings.Contains(err.Error(), words) {
		t.Errorf("temporary %v, after %s: %v; want %v, %s, %q", e.Temporary, e.After, err, temporary, after, words)
	}
	for _, secret := range []string{"123456", "4930123456", token} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error says %q: %v", secret, err)
		}
	}
}

// Each refusal of the provider: what can help is tried again, what cannot is not.
func TestSender_Answers(t *testing.T) {
	said := func(code int, message string) string {
		return fmt.Sprintf(`{"code": %d, "message": %q, "more_info": "https://www.twilio.com/docs/errors/%d", "status": 400}`, code, message, code)
	}
	wait := http.Header{"Retry-After": {"7"}}
	tests := []struct {
		name      string
		status    int
		answer    string
		header    http.Header
		temporary bool
		after     time.Duration
		words     string
	}{
		{"not a number", 400, said(21211, "The 'To' number +4930123456 is not a valid phone number."), nil, false, 0, "code 21211: The 'To' number … is not a valid phone number. (no text message reaches"},
		{"somebody who answered STOP", 400, said(21610, "Attempt to send to unsubscribed recipient"), nil, false, 0, "21610"},
		{"a landline", 400, said(21614, "'To' number is not a mobile number"), nil, false, 0, "21614"},
		{"a country that is not allowed", 400, said(21408, "Permission to send an SMS has not been enabled for the region"), nil, false, 0, "allow the country"},
		{"the credentials", 401, said(20003, "Authenticate"), nil, false, 0, "check the account"},
		{"forbidden", 403, said(20005, "Account not active"), nil, false, 0, "20005"},
		{"too fast", 429, said(20429, "Too Many Requests"), wait, true, 7 * time.Second, "429"},
		{"too fast, without more", 429, "", nil, true, 0, "429"},
		{"the queue of the number is full", 400, said(21611, "queue is full"), nil, true, 0, "21611"},
		{"a broken provider", 500, said(20500, "Internal Server Error"), nil, true, 0, "500"},
		{"a proxy before it", 503, "<html>unavailable 123456</html>", wait, true, 7 * time.Second, "503"},
		{"a redirect", 307, "", http.Header{"Location": {"https://elsewhere.example/"}}, false, 0, "307"},
		{"a message that failed at once", 201, `{"sid": "SM1", "status": "failed", "error_code": 30006}`, nil, false, 0, "30006"},
		{"an answer of somebody else", 200, "welcome to our hotel", nil, false, 0, "not one of Twilio's"},
		{"an empty answer", 200, "{}", nil, false, 0, "not one of Twilio's"},
		{"one that repeats everything", 400, said(99999, "To=+4930123456 Body="+text+" sesame-open"), nil, false, 0, "99999"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStandIn(t)
			s.status, s.answer, s.header = tt.status, tt.answer, tt.header
			checkError(t, newSender(t, s, nil).Send(t.Context(), message()), tt.temporary, tt.after, tt.words)
			if len(s.got) != 1 {
				t.Errorf("it asked %d times", len(s.got))
			}
		})
	}
	t.Run("a wrong token", func(t *testing.T) {
		s := newStandIn(t)
		sender := newSender(t, s, func(c *twilio.Config) { c.AuthToken = mfa.Secret("wrong") })
		checkError(t, sender.Send(t.Context(), message()), false, 0, "status 401")
	})
	t.Run("nobody there", func(t *testing.T) {
		s := newStandIn(t)
		s.Close()
		checkError(t, newSender(t, s, nil).Send(t.Context(), message()), true, 0, "asking Twilio")
	})
	t.Run("no answer in time", func(t *testing.T) {
		hold := make(chan struct{})
		slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
		defer slow.Close()
		defer close(hold)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		sender := newSender(t, &standIn{Server: slow}, nil)
		checkError(t, sender.Send(ctx, message()), true, 0, "asking Twilio")
	})
}

// What Twilio would refuse, or charge for in vain, is not sent at all.
func TestSender_Rejects(t *testing.T) {
	s := newStandIn(t)
	sender := newSender(t, s, nil)
	tests := []struct {
		name   string
		change func(*mfa.Message)
	}{
		{"an e-mail message", func(m *mfa.Message) { m.Channel, m.To = mfa.Email, "alice@example.com" }},
		{"a number without a country", func(m *mfa.Message) { m.To = "030123456" }},
		{"another kind of address", func(m *mfa.Message) { m.To = "whatsapp:+4930123456" }},
		{"two numbers", func(m *mfa.Message) { m.To = "+4930123456,+4930123457" }},
		{"a short number", func(m *mfa.Message) { m.To = "+112" }},
		{"a parameter", func(m *mfa.Message) { m.To = "+4930123456&From=x" }},
		{"no text", func(m *mfa.Message) { m.Text = "" }},
		{"an endless text", func(m *mfa.Message) { m.Text = strings.Repeat("ü", 1601) }},
		{"a dead code", func(m *mfa.Message) { m.Expires = noon }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := message()
			tt.change(m)
			checkError(t, sender.Send(t.Context(), m), false, 0, "")
		})
	}
	m := message()
	m.Text = strings.Repeat("ü", 1600)
	if err := sender.Send(t.Context(), m); err != nil {
		t.Errorf("as long as it may be: %v", err)
	}
	if len(s.got) != 1 {
		t.Errorf("the provider was asked %d times", len(s.got))
	}
}

func TestNew_Refuses(t *testing.T) {
	usual := twilio.Config{AccountSID: account, AuthToken: mfa.Secret(token), From: "+15005550006"}
	if _, err := twilio.New(usual); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*twilio.Config)
		words  string
	}{
		{"no account", func(c *twilio.Config) { c.AccountSID = "" }, "account: "},
		{"a path in the account", func(c *twilio.Config) { c.AccountSID = "AC/../../x" }, "account: "},
		{"neither token nor key", func(c *twilio.Config) { c.AuthToken = nil }, "token: "},
		{"token and key", func(c *twilio.Config) { c.KeySID, c.KeySecret = key, mfa.Secret("x") }, "token: "},
		{"a key without a secret", func(c *twilio.Config) { c.AuthToken, c.KeySID = nil, key }, "key: "},
		{"a key that is none", func(c *twilio.Config) { c.AuthToken, c.KeySID, c.KeySecret = nil, "AC1", mfa.Secret("x") }, "key: "},
		{"no from", func(c *twilio.Config) { c.From = "" }, "from: "},
		{"from and service", func(c *twilio.Config) { c.ServiceSID = service }, "from: "},
		{"a service that is none", func(c *twilio.Config) { c.From, c.ServiceSID = "", "Acme" }, "service: "},
		{"a from that is too long", func(c *twilio.Config) { c.From = "Acme Corporation" }, "from: "},
		{"a from that is no number", func(c *twilio.Config) { c.From = "+49 30 123" }, "from: "},
		{"in the open", func(c *twilio.Config) { c.BaseURL = "http://api.twilio.com" }, "url: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := usual
			tt.change(&c)
			_, err := twilio.New(c)
			if err == nil || !strings.HasPrefix(err.Error(), tt.words) || !strings.Contains(err.Error(), "write") {
				t.Fatalf("the error is %v", err)
			}
			if strings.Contains(err.Error(), token) {
				t.Errorf("the error says the token: %v", err)
			}
		})
	}
}
