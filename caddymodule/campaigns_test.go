package caddymodule

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// B37: a reminder goes out while the gateway runs, leads to a host of the configuration,
// and goes out once, whatever reloads come.
func TestCampaigns_B37_RemindersOverReloads(t *testing.T) {
	pause := campaignPause
	campaignPause = 50 * time.Millisecond
	in, g := new(inbox), newGateway(t)
	t.Cleanup(func() { campaignPause = pause })
	text := func(body string) string {
		return g.text("insecure_http\n\t\tsender email smtp {\n\t\t\thost localhost:"+newMailServer(t, in)+"\n\t\t\tfrom gate@example.com\n\t\t\ttls none\n\t\t}", "mfa\n\trespond "+body)
	}
	g.mustLoad(text("one"))
	ctx, store := context.Background(), g.generation().pooled.store.store
	for name, verified := range map[string]bool{"ann": true, "ben": false} {
		u := &mfa.User{
			ID: mfa.UserID("id-" + name), Handle: []byte("handle-" + name), Source: "local", Subject: name, Name: name, Password: mfa.Secret("none"),
			Email: name + "@example.com", EmailVerified: verified, Created: time.Now(), FirstSignIn: time.Now(),
		}
		if err := store.CreateUser(ctx, u); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ask(g.admin, opCampaignStart, adminRequest{Campaign: &campaignRequest{Everybody: true, Deadline: "7d", Remind: []string{"7d"}}}); err != nil {
		t.Fatal(err)
	}
	var letters string
	waitFor(t, "a reminder", func() bool { letters += in.take(); return strings.Contains(letters, "Subject:") })
	letters = strings.ReplaceAll(strings.ReplaceAll(letters, "=\r\n", ""), "=3D", "=")
	if !strings.Contains(letters, "ann@example.com") || !strings.Contains(letters, "http://localhost:"+g.port+"/.mfa/account") {
		t.Errorf("%s", letters)
	}
	before := g.generation()
	g.mustLoad(text("two"))
	if before == g.generation() {
		t.Fatal("it is the same configuration")
	}
	before.campaigning.Wait() // ended with its configuration
	waitFor(t, "the reminder to be over", func() bool {
		answer, err := ask(g.admin, opCampaignList, adminRequest{})
		return err == nil && len(answer.Campaigns) == 1 && answer.Campaigns[0].Reminders[0].Done && answer.Campaigns[0].Sent == 1
	})
	time.Sleep(5 * campaignPause)
	if more := in.take(); more != "" {
		t.Errorf("more letters: %s", more)
	}
}
