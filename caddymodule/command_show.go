package caddymodule

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// show prints an answer for people.
func show(w io.Writer, op string, a *adminAnswer) {
	if a.Done != "" {
		fmt.Fprintln(w, a.Done)
		if a.User != nil || a.Organization != nil || a.Policy != nil || a.Campaign != nil || a.Rotation != nil {
			fmt.Fprintln(w)
		}
	}
	switch {
	case a.Link != "":
		good := fmt.Sprintf("The link is good once, for %d hours.", int(mfa.InvitationLife.Hours()))
		if op == opSetupLink {
			good = "The link creates an administrator's account. It is good once, for one hour."
		}
		fmt.Fprintf(w, "%s\n\n%s Hand it over on a way that only its owner reads.\n", a.Link, good)
	case a.Key != nil:
		fmt.Fprintf(w, "%s\n\nIt opens %s%s until %s. It is shown this once. Its ID, to revoke it: %s\n", a.Secret, strings.Join(a.Key.Scopes, ", "),
			ofOrganization(a.Key.Organization), when(a.Expires), a.Key.ID)
	case a.Secret != "":
		does := "It lets its owner set up a first second factor with the password, once, until %s."
		if op == opBypass {
			does = "It stands for the second factor at one sign-in of its owner, until %s, and leads to the set-up of a new one. Where a route asks for a recent proof, for a passkey or for some factors only, it does not count."
		}
		fmt.Fprintf(w, "%s\n\n"+does+" It is shown this once. Hand it over on a way that only its owner reads.\n", a.Secret, when(a.Expires))
	case a.User != nil:
		showUserInfo(w, a.User)
	case a.Organization != nil:
		showOrg(w, a.Organization)
	case a.Policy != nil:
		showPolicy(w, a.Policy)
	case a.Campaign != nil:
		showCampaign(w, a.Campaign)
	case a.Test != nil:
		showPolicyTest(w, a.Test)
	case a.Coverage != nil:
		showCoverage(w, a.Coverage)
	case a.Forecast != nil:
		showForecast(w, a.Forecast)
	case a.Doctor != nil:
		showDoctor(w, a.Doctor)
	case a.Access != nil:
		showAccess(w, a.Access)
	case op == opSessions || op == opEndSessions:
		showSessions(w, a.Sessions)
	case a.Rotation != nil:
		showRotation(w, a.Rotation)
	case op == opKeyList:
		showKeys(w, a.Keys)
	case a.Explanation != nil:
		showExplanation(w, a.Explanation)
	case op == opList:
		showList(w, a)
	case op == opOrgList:
		showOrgs(w, a.Organizations)
	case op == opCampaignList:
		showCampaigns(w, a.Campaigns)
	case op == opAudit:
		showEvents(w, a)
	}
	if a.Note != "" {
		fmt.Fprintf(w, "\n%s\n", a.Note)
	}
}

func showList(w io.Writer, a *adminAnswer) {
	if len(a.Users) == 0 {
		fmt.Fprintln(w, "No users.")
		return
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tDISPLAY NAME\tSTATE\tFACTORS\tLAST SIGN-IN")
	for _, u := range a.Users {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", plain(u.Name), dash(plain(u.DisplayName)), stateOf(&u), dash(plain(factorsOf(&u))), when(u.LastSignIn))
	}
	_ = t.Flush()
	if a.Next != "" {
		fmt.Fprintf(w, "\nThere are more: --after %s\n", strconv.Quote(a.Next))
	}
}

func ofOrganization(id string) string {
	if id == "" {
		return ""
	}
	return " of the members of " + id
}

func showSessions(w io.Writer, list []sessionInfo) {
	if len(list) == 0 {
		fmt.Fprintln(w, "No sessions.")
		return
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tHOST\tBROWSER\tFROM\tSINCE\tLAST SEEN")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Handle, dash(plain(s.Host)), dash(plain(s.Agent)), dash(plain(s.Network)), when(s.Created), when(s.LastSeen))
	}
	_ = t.Flush()
}

func showUserInfo(w io.Writer, u *mfa.UserInfo) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(t, "%s\t%s\n", name, dash(plain(value))) }
	row("Name", u.Name)
	row("Display name", u.DisplayName)
	email := u.Email
	if email != "" && !u.Verified {
		email += " (not verified)"
	}
	row("E-mail", email)
	phone := u.Phone
	if phone != "" && !u.PhoneVerified {
		phone += " (not verified)"
	}
	row("Phone", phone)
	row("Groups", strings.Join(u.Groups, ", "))
	row("Organizations", organizationsOf(u))
	row("State", stateOf(u))
	if u.PasswordLocked {
		row("Password", lockedUntil(u.PasswordLockedUntil))
	}
	row("Created", when(u.Created))
	row("Last sign-in", when(u.LastSignIn))
	row("Sessions", strconv.Itoa(u.Sessions))
	if u.Remembered > 0 {
		row("Remembered devices", strconv.Itoa(u.Remembered))
	}
	_ = t.Flush()
	if len(u.Factors) == 0 {
		fmt.Fprintln(w, "\nNo second factor.")
		return
	}
	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "FACTOR\tNAME\tADDED\tLAST USED\tID\tNOTE")
	for _, c := range u.Factors {
		var notes []string
		if c.Locked {
			notes = append(notes, lockedUntil(c.LockedUntil))
		}
		if c.Host != "" {
			notes = append(notes, "for "+c.Host)
		}
		if c.Kind == mfa.BackupCode {
			notes = append(notes, fmt.Sprintf("%d left", c.Left))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", plain(string(c.Kind)), dash(plain(c.Name)), when(c.Created), when(c.LastUsed), dash(plain(string(c.ID))), dash(plain(strings.Join(notes, ", "))))
	}
	_ = t.Flush()
}

func stateOf(u *mfa.UserInfo) string {
	var words []string
	switch {
	case u.Disabled:
		words = append(words, "disabled")
	case u.Invited:
		words = append(words, "invited")
	default:
		words = append(words, "active")
	}
	switch {
	case u.Admin:
		words = append(words, "administrator")
	case u.Auditor:
		words = append(words, "auditor")
	}
	for _, id := range u.AdminOf {
		words = append(words, "administrator of "+string(id))
	}
	if u.Locked {
		words = append(words, "locked")
	}
	if u.OptedOut {
		words = append(words, "opted out")
	}
	if u.Skipped {
		words = append(words, "skipped set-up")
	}
	return strings.Join(words, ", ")
}

// organizationsOf names them, and says of which the user is a member by address.
func organizationsOf(u *mfa.UserInfo) string {
	var words []string
	for _, id := range u.Organizations {
		words = append(words, string(id))
	}
	for _, id := range u.BySource {
		if !slices.Contains(u.Organizations, id) {
			words = append(words, string(id)+" (as "+u.Source+" says)")
		}
	}
	for _, id := range u.ByAddress {
		if !slices.Contains(u.Organizations, id) {
			words = append(words, string(id)+" (by the address)")
		}
	}
	return strings.Join(words, ", ")
}

// factorsOf names each kind once, with how many there are of it.
func factorsOf(u *mfa.UserInfo) string {
	var words []string
	for _, kind := range factorsHere.List() {
		n := 0
		for _, c := range u.Factors {
			if c.Kind == kind {
				n++
			}
		}
		switch {
		case n == 1:
			words = append(words, string(kind))
		case n > 1:
			words = append(words, fmt.Sprintf("%s ×%d", kind, n))
		}
	}
	return strings.Join(words, " ")
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func lockedUntil(t time.Time) string {
	if t.IsZero() {
		return "locked, until: secondgate mfa users unlock"
	}
	return "locked until " + when(t)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
