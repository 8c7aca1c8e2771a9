package pages

import (
	"context"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// consoleGate is what the console asks of the core before it knows who asks.
type consoleGate interface {
	Administrator(ctx context.Context, at *mfa.Place, id mfa.SessionID, of mfa.OrganizationID, change bool) (*mfa.Administrator, error)
}

// Administration is what the console asks of the core as one administrator may ask it.
// *mfa.Administration is one.
type Administration interface {
	consoleUsers
	consoleChanges
	consoleOrganizations
	consoleCoverage
	consolePolicy
	consoleCampaigns
	consoleAudit
	consoleAccess
	consoleKeys
}

type consoleUsers interface {
	Users(ctx context.Context, f mfa.UserFilter, after string, limit int) ([]mfa.UserInfo, string, error)
	User(ctx context.Context, id mfa.UserID) (*mfa.UserInfo, error)
	Sessions(ctx context.Context, id mfa.UserID) ([]mfa.SessionInfo, error)
	AppTokens(ctx context.Context, id mfa.UserID) ([]mfa.AppToken, error)
	Activity(ctx context.Context, id mfa.UserID, after string, limit int) ([]mfa.Event, string, error)
}

type consoleChanges interface {
	Invite(ctx context.Context, in mfa.InviteInput) (string, *mfa.UserInfo, error)
	ResetPassword(ctx context.Context, id mfa.UserID) (string, error)
	RemoveFactor(ctx context.Context, id mfa.UserID, cred mfa.CredentialID) error
	RemoveFactors(ctx context.Context, id mfa.UserID, kind mfa.Kind) error
	EnrollmentPass(ctx context.Context, id mfa.UserID, life time.Duration) (string, time.Time, error)
	Bypass(ctx context.Context, id mfa.UserID, life time.Duration, why string) (string, time.Time, error)
	Unlock(ctx context.Context, id mfa.UserID) error
	ResetSkip(ctx context.Context, id mfa.UserID) error
	SetDisabled(ctx context.Context, id mfa.UserID, disabled bool) error
	EndSessions(ctx context.Context, id mfa.UserID, handle string) error
	RevokeAppToken(ctx context.Context, id mfa.UserID, token string) error
	SetRole(ctx context.Context, id mfa.UserID, role mfa.Role, of []mfa.OrganizationID) error
	SetMember(ctx context.Context, user mfa.UserID, id mfa.OrganizationID, member bool) error
}

type consoleOrganizations interface {
	Organizations() ([]*mfa.Organization, error)
	Organization(id mfa.OrganizationID) (*mfa.Organization, error)
	SetOrganization(ctx context.Context, in mfa.Organization, force bool) error
	RemoveOrganization(ctx context.Context, id mfa.OrganizationID) error
}

type consoleCoverage interface {
	Coverage(ctx context.Context, of mfa.OrganizationID) (*mfa.Coverage, error)
	Forecast(ctx context.Context, of mfa.OrganizationID, after string, limit int) (*mfa.Forecast, error)
}

type consoleAudit interface {
	Audit(ctx context.Context, q mfa.AuditQuery, after string, limit int) ([]mfa.Event, string, error)
	Export(ctx context.Context, from uint64, each func(mfa.Event) error) error
	VerifyAudit(ctx context.Context) (*mfa.Verified, error)
	Decision(ctx context.Context, id string) (*mfa.Event, error)
}

type consoleKeys interface {
	CreateAPIKey(ctx context.Context, in mfa.APIKeyInput) (string, *mfa.APIKey, error)
	APIKeys(ctx context.Context) ([]*mfa.APIKey, error)
	RevokeAPIKey(ctx context.Context, id string) error
}

var _ Administration = (*mfa.Administration)(nil)
