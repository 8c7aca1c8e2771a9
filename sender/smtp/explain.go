package smtp

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"

	"github.com/secondgate/secondgate/internal/quote"
	"github.com/secondgate/secondgate/mfa"
)

// explain returns what went wrong as the error of a try. Another try can help where
// the server said so, and where the network did not let us hear what it says.
func (s *Sender) explain(ctx context.Context, step string, err error, m *mfa.Message) error {
	e := &mfa.SendError{Err: fmt.Errorf("%s: %s", step, quote.Words(err.Error(), s.secrets(m)...))}
	var (
		reply       *textproto.Error
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		network     net.Error
	)
	switch {
	case ctx.Err() != nil:
		// What the library says then is that its connection is closed.
		e.Temporary, e.Err = true, fmt.Errorf("%s: %w", step, ctx.Err())
	case errors.As(err, &reply):
		e.Temporary = reply.Code/100 == 4
		e.Err = fmt.Errorf("%s: the server said %d %s", step, reply.Code, quote.Words(reply.Msg, s.secrets(m)...))
	case errors.As(err, &certificate):
		e.Err = fmt.Errorf("%s: the certificate of %s does not hold: %w", step, s.cfg.Host, certificate.Err)
	case errors.As(err, &record):
		e.Err = fmt.Errorf("%s: %s does not speak TLS there; with another port, or with tls starttls, it may", step, s.cfg.Host)
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		// Its text has the address of the server, and nobody else's.
		e.Temporary, e.Err = true, fmt.Errorf("%s: %w", step, err)
	}
	return e
}

// secrets are what a server may repeat and must not stand in an error: in the clear,
// and as signing in writes them.
func (s *Sender) secrets(m *mfa.Message) []string {
	local, _, _ := strings.Cut(m.To, "@")
	list := []string{m.To, string(m.Code)}
	if len(local) > 2 {
		list = append(list, local)
	}
	if password := string(s.cfg.Password); password != "" {
		encode := base64.StdEncoding.EncodeToString
		list = append(list, encode([]byte("\x00"+s.cfg.Username+"\x00"+password)), encode([]byte(password)), password)
	}
	return list
}
