package pages

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/session"
)

// Gate is what the pages ask of the core. *mfa.Gate is one.
type Gate interface {
	signInGate
	sourceGate
	setUpGate
	verifyGate
	linkGate
	accountGate
	signInCodeGate
	signUpGate
	forgottenGate
	signInPasskeyGate
	handOffGate
	consoleGate
}

type signInGate interface {
	SignIn(ctx context.Context, at *mfa.Place, source, name, password string) (*mfa.Outcome, error)
	State(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.State, error)
	NoteRefusal(ctx context.Context, at *mfa.Place, s *mfa.Session, u *mfa.Subject, why mfa.Reason) string
	Notices(ctx context.Context, at *mfa.Place, id mfa.SessionID) ([]mfa.Notice, error)
	SeenNotices(ctx context.Context, at *mfa.Place, id mfa.SessionID, last time.Time) error
	Skip(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Outcome, error)
	SignOut(ctx context.Context, at *mfa.Place, id mfa.SessionID, back string) (there string, err error)
}

type sourceGate interface {
	SignInSources() []mfa.SourceInfo
	BeginRedirect(ctx context.Context, at *mfa.Place, in mfa.RedirectInput) (*mfa.Redirection, error)
	FinishRedirect(ctx context.Context, at *mfa.Place, source, browser string, answer url.Values) (out *mfa.Outcome, carry string, err error)
	SignInEstablished(ctx context.Context, at *mfa.Place) (*mfa.Outcome, error)
	SourceSignedOut(ctx context.Context, at *mfa.Place, source, token string) error
}

type setUpGate interface {
	BeginTOTP(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.TOTPSetup, error)
	FinishTOTP(ctx context.Context, at *mfa.Place, id mfa.SessionID, code, name string) (*mfa.Outcome, error)
	BeginPasskey(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Ceremony, error)
	FinishPasskey(ctx context.Context, at *mfa.Place, id mfa.SessionID, ceremony string, answer []byte, name string) (*mfa.Outcome, error)
	BeginCodes(ctx context.Context, at *mfa.Place, id mfa.SessionID) ([]string, error)
	PendingCodes(ctx context.Context, at *mfa.Place, id mfa.SessionID) ([]string, error)
	ConfirmCodes(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Outcome, error)
	SetUpAddress(ctx context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind, in mfa.AddressInput, again bool) (*mfa.Outcome, *mfa.SentTo, error)
	PendingAddress(ctx context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind) (*mfa.SentTo, error)
	FinishAddress(ctx context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind, code string) (*mfa.Outcome, error)
	SendConfirmation(ctx context.Context, at *mfa.Place, id mfa.SessionID, again bool) (*mfa.SentTo, error)
	Confirm(ctx context.Context, at *mfa.Place, id mfa.SessionID, code string) (*mfa.Outcome, error)
	UsePass(ctx context.Context, at *mfa.Place, id mfa.SessionID, pass string) (*mfa.Outcome, error)
}

type verifyGate interface {
	VerifyTOTP(ctx context.Context, at *mfa.Place, id mfa.SessionID, code string) (*mfa.Outcome, error)
	VerifyBackupCode(ctx context.Context, at *mfa.Place, id mfa.SessionID, code string) (*mfa.Outcome, error)
	BeginVerifyPasskey(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Ceremony, error)
	FinishVerifyPasskey(ctx context.Context, at *mfa.Place, id mfa.SessionID, ceremony string, answer []byte) (*mfa.Outcome, error)
	SendCode(ctx context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind, cred mfa.CredentialID, again bool) (*mfa.SentTo, error)
	VerifySent(ctx context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind, code string) (*mfa.Outcome, error)
	VerifyBypass(ctx context.Context, at *mfa.Place, id mfa.SessionID, code string) (*mfa.Outcome, error)
}

type linkGate interface {
	OpenLink(ctx context.Context, at *mfa.Place, token string) (*mfa.Link, error)
	AcceptLink(ctx context.Context, at *mfa.Place, in mfa.LinkInput) (*mfa.Outcome, error)
}

type accountGate interface {
	Account(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Account, error)
	Rename(ctx context.Context, at *mfa.Place, id mfa.SessionID, cred mfa.CredentialID, name string) error
	Remove(ctx context.Context, at *mfa.Place, id mfa.SessionID, cred mfa.CredentialID) error
	ChangeName(ctx context.Context, at *mfa.Place, id mfa.SessionID, display string) error
	BeginEmail(ctx context.Context, at *mfa.Place, id mfa.SessionID, typed string, again bool) (*mfa.SentTo, error)
	PendingEmail(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.SentTo, string, error)
	FinishEmail(ctx context.Context, at *mfa.Place, id mfa.SessionID, code string) error
	RemoveLast(ctx context.Context, at *mfa.Place, id mfa.SessionID, cred mfa.CredentialID) (*mfa.Outcome, error)
	Activity(ctx context.Context, at *mfa.Place, id mfa.SessionID, after string, limit int) ([]mfa.Activity, string, error)
	ChangePassword(ctx context.Context, at *mfa.Place, id mfa.SessionID, old, next string) (*mfa.Outcome, error)
	OptOut(ctx context.Context, at *mfa.Place, id mfa.SessionID) error
	OptIn(ctx context.Context, at *mfa.Place, id mfa.SessionID) error
	EndSession(ctx context.Context, at *mfa.Place, id mfa.SessionID, handle string) error
	EndOtherSessions(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Outcome, error)
	ForgetDevice(ctx context.Context, at *mfa.Place, id mfa.SessionID, device string) error
	CreateAppToken(ctx context.Context, at *mfa.Place, id mfa.SessionID, in mfa.AppTokenInput) (string, *mfa.AppToken, error)
	RevokeAppToken(ctx context.Context, at *mfa.Place, id mfa.SessionID, token string) error
}

type signInCodeGate interface {
	SignInWays() mfa.Kinds
	SendSignInCode(ctx context.Context, at *mfa.Place, typed string) (*mfa.Waiting, error)
	Waiting(ctx context.Context, at *mfa.Place, id string) (*mfa.Waiting, error)
	FinishWaiting(ctx context.Context, at *mfa.Place, id, code string) (*mfa.Outcome, *mfa.Waiting, error)
}

type signUpGate interface {
	SignUpWays() mfa.SignUp
	BeginSignUp(ctx context.Context, at *mfa.Place, in mfa.SignUpInput) (*mfa.Outcome, *mfa.Waiting, error)
}

type forgottenGate interface {
	CanForget() bool
	ForgotPassword(ctx context.Context, at *mfa.Place, name string, link func(token string) string) error
}

type signInPasskeyGate interface {
	BeginPasskeySignIn(ctx context.Context, at *mfa.Place) (*mfa.Ceremony, error)
	FinishPasskeySignIn(ctx context.Context, at *mfa.Place, ceremony string, answer []byte) (*mfa.Outcome, error)
}

type handOffGate interface {
	HandOn(ctx context.Context, at *mfa.Place, id mfa.SessionID, scope string, replaces mfa.SessionID) (*mfa.Outcome, error)
	BeginHandOff(ctx context.Context, at *mfa.Place, id mfa.SessionID, to mfa.HandOff) (code string, err error)
	FinishHandOff(ctx context.Context, at *mfa.Place, code, secret string) (*mfa.Outcome, error)
}

// Guard is what the pages ask of the edge: the canonical request, and the
// session that a cookie stands for. *guard.Guard is one.
type Guard interface {
	Parse(r *http.Request) (*guard.Request, error)
	Reject(w http.ResponseWriter, r *http.Request, err error)
	Session(r *http.Request, req *guard.Request) (*session.View, error)
	HalfDone(r *http.Request, req *guard.Request) (*session.View, error)
	SetSession(w http.ResponseWriter, req *guard.Request, s *mfa.Session) error
	SetDevice(w http.ResponseWriter, req *guard.Request, marks string)
	SetRemembered(w http.ResponseWriter, req *guard.Request, value string)
	ClearSession(w http.ResponseWriter, req *guard.Request)
	waitingGuard
	portalGuard
	redirectGuard
}

// portalGuard is the edge of the portal, and of those who come from it.
type portalGuard interface {
	ParseOwn(r *http.Request) (*guard.Request, error)
	Shared(req *guard.Request) (*guard.Request, bool)
	Shares(origin string) bool
	SetArrival(w http.ResponseWriter, req *guard.Request, secret string)
	Arrival(r *http.Request, req *guard.Request) string
}

// waitingGuard keeps the name of a code that was sent to somebody who is not signed
// in.
type waitingGuard interface {
	SetWaiting(w http.ResponseWriter, req *guard.Request, id string)
	Waiting(r *http.Request, req *guard.Request) string
}

// redirectGuard keeps the secret that binds a sign-in at another place to this browser.
type redirectGuard interface {
	SetRedirect(w http.ResponseWriter, req *guard.Request, secret string)
	Redirect(r *http.Request, req *guard.Request) string
}

var (
	_ Gate           = (*mfa.Gate)(nil)
	_ Guard          = (*guard.Guard)(nil)
	_ guard.Refusals = (*Pages)(nil)
)
