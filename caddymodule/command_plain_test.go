package caddymodule

import (
	"bytes"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// AC-133: what people and their sources call themselves cannot move the cursor of an
// administrator's terminal, nor begin a line of its own.
func TestCommands_AC133_NamesInATerminal(t *testing.T) {
	const evil = "a\x1b[2J\x07\r\nroot\tadmin\u202e\u009b1A"
	u := mfa.UserInfo{
		Name: evil, DisplayName: evil, Email: evil, Phone: evil, Groups: []string{evil}, LastHost: evil, Organizations: []mfa.OrganizationID{evil},
		Factors: []mfa.FactorInfo{{ID: evil, Kind: evil, Name: evil, Host: evil}},
	}
	var list, one, forecast bytes.Buffer
	showList(&list, &adminAnswer{Users: []mfa.UserInfo{u}})
	showUserInfo(&one, &u)
	showForecast(&forecast, &mfa.Forecast{Users: 1, Stopped: 1, Page: []mfa.UserInfo{u}})
	for name, out := range map[string]string{"list": list.String(), "show": one.String(), "forecast": forecast.String()} {
		if strings.ContainsAny(out, "\x1b\x07\r\u202e\u009b") || strings.Contains(out, "\nroot") {
			t.Errorf("%s: %q", name, out)
		}
		if !strings.Contains(out, "a?[2J") {
			t.Errorf("%s does not show the name: %q", name, out)
		}
	}
}
