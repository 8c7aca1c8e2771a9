package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// account is the part for the person who is signed in.
func (a *API) account() part {
	return part{
		door: sameOrigin,
		routes: map[string]methods{
			"account":          {http.MethodGet: a.readAccount, http.MethodPatch: a.changeName},
			"account/password": {http.MethodPut: a.changePassword},
			"account/opt-out":  {http.MethodPut: a.optOut, http.MethodDelete: a.optIn},
			"account/sign-out": {http.MethodPost: a.signOut},

			"account/activity":      {http.MethodGet: a.readActivity},
			"account/email/send":    {http.MethodPost: a.sendEmail},
			"account/email/finish":  {http.MethodPost: a.finishEmail},
			"account/notices":       {http.MethodGet: a.readNotices},
			"account/notices/seen":  {http.MethodPost: a.seenNotices},
			"account/sessions":      {http.MethodGet: a.readSessions, http.MethodDelete: a.endOthers},
			"account/sessions/{id}": {http.MethodDelete: a.endSession},
			"account/devices":       {http.MethodGet: a.readDevices, http.MethodDelete: a.forgetDevices},
			"account/devices/{id}":  {http.MethodDelete: a.forgetDevice},

			"account/app-tokens":      {http.MethodGet: a.readTokens, http.MethodPost: a.createToken},
			"account/app-tokens/{id}": {http.MethodDelete: a.revokeToken},

			"account/factors":                {http.MethodGet: a.readFactors},
			"account/factors/{id}":           {http.MethodPatch: a.renameFactor, http.MethodDelete: a.removeFactor},
			"account/factors/passkey/begin":  {http.MethodPost: a.beginPasskey},
			"account/factors/passkey/finish": {http.MethodPost: a.finishPasskey},
			"account/factors/totp/begin":     {http.MethodPost: a.beginTOTP},
			"account/factors/totp/finish":    {http.MethodPost: a.finishTOTP},
			"account/factors/email/send":     {http.MethodPost: a.sendAddress(mfa.Email)},
			"account/factors/email/finish":   {http.MethodPost: a.finishAddress(mfa.Email)},
			"account/factors/sms/send":       {http.MethodPost: a.sendAddress(mfa.SMS)},
			"account/factors/sms/finish":     {http.MethodPost: a.finishAddress(mfa.SMS)},
			"account/backup-codes":           {http.MethodGet: a.readCodes, http.MethodPost: a.makeCodes},
			"account/backup-codes/confirm":   {http.MethodPost: a.confirmCodes},

			"account/verification":                {http.MethodGet: a.readVerification},
			"account/verification/totp":           {http.MethodPost: a.verifyCode(Gate.VerifyTOTP)},
			"account/verification/backup-code":    {http.MethodPost: a.verifyCode(Gate.VerifyBackupCode)},
			"account/verification/email":          {http.MethodPost: a.verifyCode(verifySent(mfa.Email))},
			"account/verification/sms":            {http.MethodPost: a.verifyCode(verifySent(mfa.SMS))},
			"account/verification/send":           {http.MethodPost: a.sendCode},
			"account/verification/passkey/begin":  {http.MethodPost: a.beginVerifyPasskey},
			"account/verification/passkey/finish": {http.MethodPost: a.finishVerifyPasskey},
		},
	}
}

// The documents that the account is read as. What a factor holds is in none of them, nor
// an address that is not masked (AC-131).
type (
	accountDocument struct {
		User        userDocument      `json:"user"`
		Status      string            `json:"status"`
		Required    bool              `json:"required"`
		Score       mfa.Score         `json:"score"`
		Campaign    *promptDocument   `json:"campaign,omitempty"`
		CanReplace  bool              `json:"can_replace_last"`
		Factors     []factorDocument  `json:"factors"`
		BackupCodes codesDocument     `json:"backup_codes"`
		Choices     []choiceDocument  `json:"choices"`
		Sessions    []sessionDocument `json:"sessions"`
		Devices     []deviceDocument  `json:"devices"`
		Notices     []noticeDocument  `json:"notices"`
	}
	promptDocument struct {
		Organization string     `json:"organization,omitempty"`
		Factors      []mfa.Kind `json:"factors"`
		Deadline     time.Time  `json:"deadline"`
		DaysLeft     int        `json:"days_left"`
		Required     bool       `json:"required"`
	}
	userDocument struct {
		Name          string   `json:"name"`
		DisplayName   string   `json:"display_name,omitempty"`
		Password      bool     `json:"password"`
		Organizations []string `json:"organizations"`
		CanRename     bool     `json:"can_rename"`
		CanEmail      bool     `json:"can_change_email"`
	}
	factorDocument struct {
		ID       mfa.CredentialID `json:"id"`
		Factor   mfa.Kind         `json:"factor"`
		Name     string           `json:"name"`
		Added    *time.Time       `json:"added,omitempty"`
		LastUsed *time.Time       `json:"last_used,omitempty"`
		Host     string           `json:"host,omitempty"`
	}
	codesDocument struct {
		Offered bool       `json:"offered"`
		Left    int        `json:"left"`
		Added   *time.Time `json:"added,omitempty"`
	}
	choiceDocument struct {
		Factor    mfa.Kind          `json:"factor"`
		Available bool              `json:"available"`
		Why       mfa.Reason        `json:"why,omitempty"`
		Addresses []addressDocument `json:"addresses,omitempty"`
	}
	addressDocument struct {
		Ref      string `json:"ref"`
		Masked   string `json:"masked"`
		Verified bool   `json:"verified"`
	}
	sessionDocument struct {
		ID       string     `json:"id"`
		Current  bool       `json:"current"`
		Host     string     `json:"host"`
		Agent    string     `json:"agent,omitempty"`
		Network  string     `json:"network,omitempty"`
		Created  *time.Time `json:"created,omitempty"`
		LastSeen *time.Time `json:"last_seen,omitempty"`
	}
	deviceDocument struct {
		ID       string     `json:"id"`
		Agent    string     `json:"agent,omitempty"`
		Network  string     `json:"network,omitempty"`
		Since    *time.Time `json:"since,omitempty"`
		LastUsed *time.Time `json:"last_used,omitempty"`
	}
	noticeDocument struct {
		Notice  mfa.NoticeKind `json:"notice"`
		At      time.Time      `json:"at"`
		Factor  mfa.Kind       `json:"factor,omitempty"`
		Name    string         `json:"name,omitempty"`
		Agent   string         `json:"agent,omitempty"`
		Network string         `json:"network,omitempty"`
	}
)

// The states of an account.
const (
	statusOff      = "off"       // 2-step verification is off for everybody (rule B2)
	statusNone     = "none"      // nothing is set up
	statusOptedOut = "opted_out" // the user's own exception (rule B19)
	statusOn       = "on"
)

// look reads the account, or says what the session owes before that.
func (c *call) look() (*mfa.Account, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	return c.lookAs(id)
}

func (c *call) lookAs(id mfa.SessionID) (*mfa.Account, error) {
	a, err := c.api.gate.Account(c.r.Context(), &c.at, id)
	return a, c.orOwed(id, err)
}

// orOwed finds out whether "not allowed" means that the session owes something first.
func (c *call) orOwed(id mfa.SessionID, err error) error {
	if !errors.Is(err, mfa.ErrNotAllowed) {
		return err
	}
	plain := c.at
	plain.Asked = mfa.Requirement{}
	st, stateErr := c.api.gate.State(c.r.Context(), &plain, id)
	switch {
	case stateErr != nil:
		return stateErr
	case st.Decision.Action != mfa.Allow:
		return &owedError{st.Decision}
	}
	return err
}

func (a *API) readAccount(c *call) (any, error) {
	account, err := c.look()
	if err != nil {
		return nil, err
	}
	return accountDocument{
		User: userDocument{
			Name: account.UserName, DisplayName: account.DisplayName, Password: account.LocalPassword,
			Organizations: append([]string{}, account.Organizations...), CanRename: account.Local, CanEmail: account.CanEmail,
		},
		Status: statusOf(account), Required: account.Required, Score: account.Score, CanReplace: account.CanReplace,
		Campaign: promptOf(account.Campaign),
		Factors:  factorsOf(account), BackupCodes: codesOf(account), Choices: choicesOf(account),
		Sessions: sessionsOf(account), Devices: devicesOf(account), Notices: noticesOf(account),
	}, nil
}

func promptOf(p *mfa.CampaignPrompt) *promptDocument {
	if p == nil {
		return nil
	}
	return &promptDocument{p.Organization, p.Factors.List(), p.Deadline, p.DaysLeft, p.Required}
}

func statusOf(a *mfa.Account) string {
	switch {
	case a.Off:
		return statusOff
	case len(factorsOf(a)) == 0:
		return statusNone
	case a.OptedOut:
		return statusOptedOut
	}
	return statusOn
}

// factorsOf leaves the backup codes out: they are a resource of their own.
func factorsOf(a *mfa.Account) []factorDocument {
	list := []factorDocument{}
	for i := range a.Credentials {
		if c := &a.Credentials[i]; c.Kind != mfa.BackupCode {
			list = append(list, factorOf(c))
		}
	}
	return list
}

func factorOf(c *mfa.Credential) factorDocument {
	return factorDocument{ID: c.ID, Factor: c.Kind, Name: c.Name, Added: stamp(c.Created), LastUsed: stamp(c.LastUsed), Host: c.RPID}
}

func codesOf(a *mfa.Account) codesDocument {
	d := codesDocument{Offered: a.CodesOffered, Left: a.CodesLeft}
	for _, c := range a.Credentials {
		if c.Kind == mfa.BackupCode {
			d.Added = stamp(c.Created)
		}
	}
	return d
}

func choicesOf(a *mfa.Account) []choiceDocument {
	list := []choiceDocument{}
	for _, c := range a.Choices {
		d := choiceDocument{Factor: c.Kind, Available: c.Available, Why: c.Why}
		for _, address := range c.Addresses {
			d.Addresses = append(d.Addresses, addressDocument{Ref: address.Ref, Masked: address.Masked, Verified: address.Verified})
		}
		list = append(list, d)
	}
	return list
}

func sessionsOf(a *mfa.Account) []sessionDocument {
	list := []sessionDocument{}
	for _, s := range a.Sessions {
		list = append(list, sessionDocument{
			ID: s.Handle, Current: s.Current, Host: s.Host, Agent: s.Agent, Network: s.Network, Created: stamp(s.Created), LastSeen: stamp(s.LastSeen),
		})
	}
	return list
}

func devicesOf(a *mfa.Account) []deviceDocument {
	list := []deviceDocument{}
	for _, d := range a.Remembered {
		list = append(list, deviceDocument{ID: d.ID, Agent: d.Agent, Network: d.Network, Since: stamp(d.Proven), LastUsed: stamp(d.LastUsed)})
	}
	return list
}

func noticesOf(a *mfa.Account) []noticeDocument {
	list := []noticeDocument{}
	for _, n := range a.Notices {
		// To the nanosecond: it is what puts the notice away.
		list = append(list, noticeDocument{Notice: n.Kind, At: n.At.UTC(), Factor: n.Factor, Name: n.Name, Agent: n.Agent, Network: n.Network})
	}
	return list
}

// stamp is a time as documents write it, to the second; nil where there is none.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}
