package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/secondgate/secondgate/mfa"
)

// Sender sends e-mail messages through one server.
type Sender struct {
	cfg  Config
	from *mail.Address
	tls  *tls.Config
}

// New checks the configuration. It opens no connection.
func New(c Config) (*Sender, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	from, err := c.from()
	if err != nil {
		return nil, err
	}
	return &Sender{
		cfg: c, from: from,
		tls: &tls.Config{ServerName: c.Host, RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
	}, nil
}

// Send makes one try: see mfa.Sender.
func (s *Sender) Send(ctx context.Context, m *mfa.Message) error {
	letter, err := s.compose(m)
	if err != nil {
		return &mfa.SendError{Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	if step, err := s.hand(ctx, letter, m.To); err != nil {
		return s.explain(ctx, step, err, m)
	}
	return nil
}

// hand takes a message to the server. Where it fails, it says while doing what.
func (s *Sender) hand(ctx context.Context, letter *gomail.Msg, to string) (step string, err error) {
	var conn net.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	// Not the library's context: that one ends with the sign-in.
	dial := func(_ context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		raw, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		conn = raw
		// The library sets one deadline and knows no caller who gives up earlier: that
		// one is heard by closing the connection under it.
		context.AfterFunc(ctx, func() { _ = raw.Close() })
		if s.cfg.TLS != TLS {
			return raw, nil
		}
		c := tls.Client(raw, s.tls)
		return c, c.HandshakeContext(ctx)
	}
	client, err := gomail.NewClient(s.cfg.Host, append(s.options(to), gomail.WithDialContextFunc(dial))...)
	if err != nil {
		return "getting ready", err
	}
	c, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return "signing in to the server", err
	}
	if utf8, _ := c.Extension("SMTPUTF8"); !utf8 && !ascii(to) {
		return "naming the recipient", errors.New("the server takes plain addresses only, and this one has other letters")
	}
	from, err := letter.GetSender(false)
	if err != nil {
		return "naming the sender", err
	}
	if err := c.Mail(from); err != nil {
		return "naming the sender", err
	}
	if err := c.Rcpt("<" + to + ">"); err != nil {
		return "naming the recipient", err
	}
	w, err := c.Data()
	if err != nil {
		return "handing the message over", err
	}
	if _, err := letter.WriteTo(w); err != nil {
		return "handing the message over", err
	}
	if err := w.Close(); err != nil {
		return "handing the message over", err
	}
	// It is the server's now. Whatever happens to the farewell, it must not be sent
	// again.
	_ = c.Quit()
	return "", nil
}

func (s *Sender) options(to string) []gomail.Option {
	list := []gomail.Option{
		gomail.WithPort(s.cfg.port()), gomail.WithTimeout(s.cfg.Timeout), gomail.WithTLSConfig(s.tls),
	}
	switch s.cfg.TLS {
	case TLS:
		list = append(list, gomail.WithSSL())
	case None:
		list = append(list, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		list = append(list, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.cfg.HELO != "" {
		list = append(list, gomail.WithHELO(s.cfg.HELO))
	}
	if ascii(to) {
		// A message that asks for the extension without need is refused further on.
		list = append(list, gomail.WithoutSMTPUTF8())
	}
	if s.cfg.Username != "" {
		// What every server can do comes first: within TLS the others add little, and
		// some servers offer them for accounts that cannot use them.
		mechanisms := []gomail.SMTPAuthType{gomail.SMTPAuthPlain, gomail.SMTPAuthLogin}
		if s.cfg.TLS == None {
			mechanisms = []gomail.SMTPAuthType{gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc}
		}
		mechanisms = append(mechanisms, gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthCramMD5)
		list = append(list, gomail.WithUsername(s.cfg.Username), gomail.WithPassword(string(s.cfg.Password)),
			gomail.WithOpportunisticSMTPAuth(mechanisms...))
	}
	return list
}

var (
	plainID  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	language = regexp.MustCompile(`^[A-Za-z0-9-]{1,35}$`)
)

// compose makes the message. Whatever could begin another header is refused here,
// though nobody before us lets it through (AC-172).
func (s *Sender) compose(m *mfa.Message) (*gomail.Msg, error) {
	switch {
	case m.Channel != mfa.Email:
		return nil, fmt.Errorf("a message for %q is no e-mail", m.Channel)
	case !plainID.MatchString(m.ID):
		return nil, errors.New("the message has no name that a header can hold")
	case strings.ContainsFunc(m.Subject, control) || m.Subject == "":
		return nil, errors.New("the subject is not one line")
	case m.Language != "" && !language.MatchString(m.Language):
		return nil, errors.New("the language is not the tag of one")
	case m.Text == "":
		return nil, errors.New("the message is empty")
	}
	if err := checkAddress(m.To); err != nil {
		return nil, err
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.from)
	msg.ToMailAddress(&mail.Address{Address: m.To})
	msg.Subject(m.Subject)
	_, domain, _ := strings.Cut(s.from.Address, "@")
	msg.SetMessageIDWithValue(m.ID + "@" + domain)
	msg.SetDateWithValue(s.cfg.Now())
	// Nobody's out-of-office note is to answer a code.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	if m.Language != "" {
		msg.SetGenHeader(gomail.HeaderContentLang, m.Language)
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

var _ mfa.Sender = (*Sender)(nil)
