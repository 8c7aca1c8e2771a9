package pages

import (
	"context"
	"net/http"
	"strconv"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/internal/web"
	"github.com/secondgate/secondgate/mfa"
)

// fakeSending is what a fakeGate says of codes that are sent.
type fakeSending struct {
	to        *mfa.SentTo // where a code went
	sendOf    error       // of everything that sends
	pendingOf error
}

func (g *fakeGate) sent() (*mfa.SentTo, error) {
	if g.sendOf != nil {
		return nil, g.sendOf
	}
	return g.to, nil
}

func (g *fakeGate) SendCode(_ context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind, cred mfa.CredentialID, again bool) (*mfa.SentTo, error) {
	g.call("SendCode", at, string(id), string(k), string(cred), strconv.FormatBool(again))
	return g.sent()
}

func (g *fakeGate) VerifySent(_ context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind, code string) (*mfa.Outcome, error) {
	g.call("VerifySent", at, string(id), string(k), code)
	return g.out()
}

func (g *fakeGate) VerifyBypass(_ context.Context, at *mfa.Place, id mfa.SessionID, code string) (*mfa.Outcome, error) {
	g.call("VerifyBypass", at, string(id), code)
	return g.out()
}

func (g *fakeGate) SetUpAddress(_ context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind, in mfa.AddressInput, again bool) (*mfa.Outcome, *mfa.SentTo, error) {
	g.call("SetUpAddress", at, string(id), string(k), in.Typed, in.Ref, strconv.FormatBool(again))
	if g.err != nil {
		return nil, nil, g.err
	}
	to, err := g.sent()
	if err != nil {
		return nil, nil, err
	}
	if to == nil {
		return g.outcome, nil, nil
	}
	return nil, to, nil
}

func (g *fakeGate) PendingAddress(_ context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind) (*mfa.SentTo, error) {
	g.call("PendingAddress", at, string(id), string(k))
	if g.pendingOf != nil {
		return nil, g.pendingOf
	}
	return g.to, nil
}

func (g *fakeGate) FinishAddress(_ context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind, code string) (*mfa.Outcome, error) {
	g.call("FinishAddress", at, string(id), string(k), code)
	return g.out()
}

func (g *fakeGate) SendConfirmation(_ context.Context, at *mfa.Place, id mfa.SessionID, again bool) (*mfa.SentTo, error) {
	g.call("SendConfirmation", at, string(id), strconv.FormatBool(again))
	return g.sent()
}

func (g *fakeGate) Confirm(_ context.Context, at *mfa.Place, id mfa.SessionID, code string) (*mfa.Outcome, error) {
	g.call("Confirm", at, string(id), code)
	return g.out()
}

func (g *fakeGate) UsePass(_ context.Context, at *mfa.Place, id mfa.SessionID, pass string) (*mfa.Outcome, error) {
	g.call("UsePass", at, string(id), pass)
	return g.out()
}

func (g *fakeGate) ForgetDevice(_ context.Context, at *mfa.Place, id mfa.SessionID, device string) error {
	g.call("ForgetDevice", at, string(id), device)
	return g.err
}

func (g *fakeGate) CreateAppToken(_ context.Context, at *mfa.Place, id mfa.SessionID, in mfa.AppTokenInput) (string, *mfa.AppToken, error) {
	g.call("CreateAppToken", at, string(id), in.Name, in.Host, in.Life.String())
	if g.err != nil {
		return "", nil, g.err
	}
	t := sampleTokens[0]
	t.Name, t.Host = in.Name, in.Host
	return sampleTokenText, &t, nil
}

func (g *fakeGate) RevokeAppToken(_ context.Context, at *mfa.Place, id mfa.SessionID, token string) error {
	g.call("RevokeAppToken", at, string(id), token)
	return g.err
}

func (g *fakeGuard) SetRemembered(w http.ResponseWriter, req *guard.Request, value string) {
	g.remembered = value
	if value == "-" {
		req.Cookies.Clear(w, web.RememberCookie)
		return
	}
	req.Cookies.Set(w, web.RememberCookie, value, 0)
}
