package caddymodule

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/secondgate/secondgate/mfa"
)

// inbox keeps what reaches it, by whatever way.
type inbox struct {
	mu  sync.Mutex
	got []string
}

func (in *inbox) put(text string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.got = append(in.got, text)
}

func (in *inbox) take() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	text := strings.Join(in.got, "\n")
	in.got = nil
	return text
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	user, password, _ := r.BasicAuth()
	in.put(fmt.Sprintf("%s %s:%s %s %s", r.URL.Path, user, password, r.Header.Get("webhook-signature"), body))
	w.WriteHeader(http.StatusCreated)
	fmt.Fprint(w, `{"sid": "SM1", "error_code": null}`)
}

// mailbox is an inbox with a mail server before it.
type mailbox struct{ *inbox }

func (m mailbox) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return m, nil }

func (m mailbox) Mail(from string, _ *gosmtp.MailOptions) error { m.put("from " + from); return nil }
func (m mailbox) Rcpt(to string, _ *gosmtp.RcptOptions) error   { m.put("to " + to); return nil }
func (m mailbox) Reset()                                        {}
func (m mailbox) Logout() error                                 { return nil }

func (m mailbox) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	m.put(string(raw))
	return err
}

// newMailServer returns the port of a mail server on this machine.
func newMailServer(t *testing.T, in *inbox) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := gosmtp.NewServer(mailbox{in})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func codeLetter(channel mfa.Kind, to string) *mfa.Letter {
	return &mfa.Letter{
		Kind: mfa.LetterVerify, Channel: channel, To: to, Origin: "http://localhost",
		Code: mfa.Secret("123456"), Life: 5 * time.Minute,
	}
}

// A letter goes out through each of the senders, with the secrets that the
// environment and a file hold. What Caddy shows of its configuration has none of them.
func TestSenders_Deliver(t *testing.T) {
	in := new(inbox)
	provider := httptest.NewServer(in)
	defer provider.Close()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("out-of-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := base64.StdEncoding.EncodeToString([]byte("out of the environment, long enough"))
	t.Setenv("TEST_SENDER_KEY", "whsec_"+key)
	t.Setenv("TEST_SENDER_HOST", "localhost")
	const account = "AC0123456789abcdef0123456789abcdef"
	tests := []struct{ name, options, channel, to, want string }{
		{"smtp", "sender email smtp {\n\t\t\thost {env.TEST_SENDER_HOST}:" + newMailServer(t, in) + "\n\t\t\tfrom \"Gate <gate@example.com>\"\n\t\t\ttls none\n\t\t}", "email", "alice@example.com",
			`(?s)^from gate@example.com\nto alice@example.com\n.*Subject: .*@localhost #123456`},
		{"twilio", "sender sms twilio {\n\t\t\taccount " + account + "\n\t\t\ttoken {file." + file + "}\n\t\t\tfrom Acme\n\t\t\turl " + provider.URL + "\n\t\t}", "sms", "+4930123456",
			`^/2010-04-01/Accounts/` + account + `/Messages.json ` + account + `:out-of-a-file .*Body=123456\+is\+your\+Acme\+code`},
		{"webhook", "sender sms webhook {\n\t\t\turl " + provider.URL + "/sms\n\t\t\tsecret {env.TEST_SENDER_KEY}\n\t\t}", "sms", "+4930123456",
			`^/sms : v1,[A-Za-z0-9+/]{43}= \{.*"code":"123456"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newGateway(t)
			g.mustLoad(g.text(tt.options+"\n\t\tbrand {\n\t\t\tname Acme\n\t\t}", "mfa\n\trespond ok"))
			running, err := caddy.ActiveContext().AppIfConfigured("mfa")
			if err != nil {
				t.Fatal(err)
			}
			p, err := running.(*App).post()
			if err != nil {
				t.Fatal(err)
			}
			channel := mfa.Kind(tt.channel)
			if got := p.Channels(); got != mfa.KindsOf(channel) {
				t.Errorf("the channels are %s", got)
			}
			if err := p.Send(t.Context(), codeLetter(channel, tt.to)); err != nil {
				t.Fatal(err)
			}
			if got := in.take(); !regexp.MustCompile(tt.want).MatchString(got) {
				t.Errorf("there arrived\n%s\nwant\n%s", got, tt.want)
			}
			if !p.Queue(codeLetter(channel, tt.to)) {
				t.Error("nothing can be queued")
			}
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if in.take() == "" {
				t.Error("what was queued was not sent")
			}
			resp, err := http.Get("http://" + g.admin + "/config/apps/mfa")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			shown, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Contains(shown, []byte(`"senders"`)) {
				t.Fatalf("the configuration is %s, error %v", shown, err)
			}
			for _, secret := range []string{"out-of-a-file", key} {
				if bytes.Contains(shown, []byte(secret)) {
					t.Errorf("the configuration shows %q: %s", secret, shown)
				}
			}
		})
	}
}

// The sender for trials prints what nobody gets.
func TestSenders_Trial(t *testing.T) {
	g := newGateway(t)
	file := filepath.Join(g.dir, "trial.log")
	text := g.text("sender email log {\n\t\t\tinsecure_trial\n\t\t}", "mfa\n\trespond ok")
	g.mustLoad(strings.Replace(text, "\tmfa {", "\tlog trial {\n\t\tinclude mfa\n\t\toutput file "+file+"\n\t}\n\tmfa {", 1))
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		t.Fatal(err)
	}
	p, err := running.(*App).post()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	if err := p.Send(t.Context(), codeLetter(mfa.Email, "alice@example.com")); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(raw, []byte("123456")) || !bytes.Contains(raw, []byte(`"level":"warn"`)) {
		t.Errorf("the log is %s, error %v", raw, err)
	}
}

// "caddy validate" runs beside a gateway, and on machines that reach neither mail
// server nor provider: it asks nobody.
func TestSenders_ValidateOpensNoConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	visits := make(chan string, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(visits)
				return
			}
			visits <- c.RemoteAddr().String()
			c.Close()
		}
	}()
	address := l.Addr().String()
	err = validate(t, fmt.Sprintf(`{"email": {"module": "smtp", "host": %q, "from": "gate@example.com", "tls": "none"},
		"sms": {"module": "webhook", "url": "http://%s/", "secret": "twenty-four bytes or more"}}`, address, address))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for visit := range visits {
		t.Errorf("a connection from %s", visit)
	}
}

// validate checks a configuration with these senders, as "caddy validate" does.
func validate(t *testing.T, senders string) error {
	t.Helper()
	dir, err := json.Marshal(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	var cfg caddy.Config
	text := fmt.Sprintf(`{"admin": {"disabled": true}, "apps": {"mfa": {"store": {"module": "badger", "dir": %s}, "senders": %s}}}`, dir, senders)
	if err := caddy.StrictUnmarshalJSON([]byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(&cfg)
}

// What is wrong with the senders of a JSON configuration, or with the secrets that it
// names, is refused before anything listens. The secret itself is in no error.
func TestSenders_Refuse(t *testing.T) {
	t.Setenv("TEST_SENDER_SHORT", "swordfish")
	dir := t.TempDir()
	notPEM := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(notPEM, []byte("swordfish"), 0o600); err != nil {
		t.Fatal(err)
	}
	const smtp = `{"email": {"module": "smtp", "host": "smtp.example.com", "from": "gate@example.com"%s}}`
	tests := []struct{ name, senders, words string }{
		{"an unknown channel", `{"fax": {"module": "smtp"}}`, `"fax" is not a channel`},
		{"an unknown sender", `{"sms": {"module": "pigeon"}}`, "mfa.senders.pigeon"},
		{"one that cannot serve the channel", `{"sms": {"module": "smtp", "host": "smtp.example.com", "from": "gate@example.com"}}`, "smtp sends email only"},
		{"a misspelt option", fmt.Sprintf(smtp, `, "hots": "x"`), "hots"},
		{"a variable that is not set", fmt.Sprintf(smtp, `, "username": "gate", "password": "{env.TEST_SENDER_NONE}"`), "password: reading what stands there"},
		{"a file that is not there", fmt.Sprintf(smtp, `, "username": "gate", "password": "{file.`+dir+`/none}"`), "password: reading what stands there"},
		{"a placeholder that there is not", fmt.Sprintf(smtp, `, "username": "gate", "password": "{environment.X}"`), "unrecognized placeholder"},
		{"certificates that are not there", fmt.Sprintf(smtp, `, "ca": "`+dir+`/none"`), "ca: reading the certificates"},
		{"certificates that are none", fmt.Sprintf(smtp, `, "ca": "`+notPEM+`"`), "no certificate as PEM"},
		{"a secret that is short once it is known", `{"sms": {"module": "webhook", "url": "https://sms.example.com/", "secret": "{env.TEST_SENDER_SHORT}"}}`, "secret: has 9 bytes"},
		{"an account that is none once it is known", `{"sms": {"module": "twilio", "account": "{env.TEST_SENDER_SHORT}", "token": "x", "from": "Acme"}}`, "account: "},
		{"a trial that does not say so", `{"email": {"module": "log"}}`, "insecure_trial"},
		{"no sender", `{"email": null}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := validate(t, tt.senders)
			if err == nil || !strings.Contains(err.Error(), tt.words) {
				t.Fatalf("the error is %v, want %q", err, tt.words)
			}
			if strings.Contains(err.Error(), "swordfish") && !strings.Contains(tt.name, "account") {
				t.Errorf("the error says the secret: %v", err)
			}
		})
	}
}

// A command that works on the store while the gateway is down sends nothing, and need
// not have the secrets of those that do.
func TestSenders_CommandsNeedNoSecrets(t *testing.T) {
	a := &App{
		SendersRaw: map[string]json.RawMessage{"email": []byte(`{"module": "smtp", "host": "{env.TEST_SENDER_NONE}"}`)},
		StoreRaw:   []byte(`{"module": "badger", "dir": "` + t.TempDir() + `/store"}`),
		alone:      true,
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := a.Provision(ctx); err != nil {
		t.Fatal(err)
	}
}
