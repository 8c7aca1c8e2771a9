package api

import (
	"context"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// Gate is what the API asks of the core. *mfa.Gate is one.
type Gate interface {
	accountGate
	factorGate
	addressGate
	verifyGate
	adminGate
}

type accountGate interface {
	Account(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Account, error)
	State(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.State, error)
	ChangePassword(ctx context.Context, at *mfa.Place, id mfa.SessionID, old, next string) (*mfa.Outcome, error)
	OptOut(ctx context.Context, at *mfa.Place, id mfa.SessionID) error
	OptIn(ctx context.Context, at *mfa.Place, id mfa.SessionID) error
	EndSession(ctx context.Context, at *mfa.Place, id mfa.SessionID, handle string) error
	EndOtherSessions(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Outcome, error)
	ForgetDevice(ctx context.Context, at *mfa.Place, id mfa.SessionID, device string) error
	CreateAppToken(ctx context.Context, at *mfa.Place, id mfa.SessionID, in mfa.AppTokenInput) (string, *mfa.AppToken, error)
	RevokeAppToken(ctx context.Context, at *mfa.Place, id mfa.SessionID, token string) error
	SeenNotices(ctx context.Context, at *mfa.Place, id mfa.SessionID, last time.Time) error
	SignOut(ctx context.Context, at *mfa.Place, id mfa.SessionID, back string) (there string, err error)
	ChangeName(ctx context.Context, at *mfa.Place, id mfa.SessionID, display string) error
	BeginEmail(ctx context.Context, at *mfa.Place, id mfa.SessionID, typed string, again bool) (*mfa.SentTo, error)
	FinishEmail(ctx context.Context, at *mfa.Place, id mfa.SessionID, code string) error
	Activity(ctx context.Context, at *mfa.Place, id mfa.SessionID, after string, limit int) ([]mfa.Activity, string, error)
}

type factorGate interface {
	Rename(ctx context.Context, at *mfa.Place, id mfa.SessionID, cred mfa.CredentialID, name string) error
	Remove(ctx context.Context, at *mfa.Place, id mfa.SessionID, cred mfa.CredentialID) error
	RemoveLast(ctx context.Context, at *mfa.Place, id mfa.SessionID, cred mfa.CredentialID) (*mfa.Outcome, error)
	BeginTOTP(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.TOTPSetup, error)
	FinishTOTP(ctx context.Context, at *mfa.Place, id mfa.SessionID, code, name string) (*mfa.Outcome, error)
	BeginPasskey(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Ceremony, error)
	FinishPasskey(ctx context.Context, at *mfa.Place, id mfa.SessionID, ceremony string, answer []byte, name string) (*mfa.Outcome, error)
	BeginCodes(ctx context.Context, at *mfa.Place, id mfa.SessionID) ([]string, error)
	ConfirmCodes(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Outcome, error)
}

type addressGate interface {
	SetUpAddress(ctx context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind, in mfa.AddressInput, again bool) (*mfa.Outcome, *mfa.SentTo, error)
	FinishAddress(ctx context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind, code string) (*mfa.Outcome, error)
}

type verifyGate interface {
	VerifyTOTP(ctx context.Context, at *mfa.Place, id mfa.SessionID, code string) (*mfa.Outcome, error)
	VerifyBackupCode(ctx context.Context, at *mfa.Place, id mfa.SessionID, code string) (*mfa.Outcome, error)
	BeginVerifyPasskey(ctx context.Context, at *mfa.Place, id mfa.SessionID) (*mfa.Ceremony, error)
	FinishVerifyPasskey(ctx context.Context, at *mfa.Place, id mfa.SessionID, ceremony string, answer []byte) (*mfa.Outcome, error)
	SendCode(ctx context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind, cred mfa.CredentialID, again bool) (*mfa.SentTo, error)
	VerifySent(ctx context.Context, at *mfa.Place, id mfa.SessionID, k mfa.Kind, code string) (*mfa.Outcome, error)
}

var _ Gate = (*mfa.Gate)(nil)
