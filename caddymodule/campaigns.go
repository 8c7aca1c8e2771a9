package caddymodule

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// campaignPause is how long the work on campaigns rests between two passes, and before the
// first one: where configurations come one after the other, none of them begins. Tests
// make it shorter.
var campaignPause = time.Minute

// accountPath is the page that letters of campaigns lead to.
const accountPath = "/.mfa/account"

// accountPage is the address of the account page at the portal, or on the first host that
// the configuration names; empty: it names none, and letters lead nowhere.
func (s sites) accountPage(portal string) string {
	if portal != "" {
		return portal + accountPath
	}
	if len(s.origins) == 0 {
		return ""
	}
	return s.origins[0] + accountPath
}

// startCampaigns works on campaigns until stopCampaigns is called.
func (g *generation) startCampaigns() {
	ctx, stop := context.WithCancel(context.Background())
	g.stopCampaigns = stop
	tick := time.NewTicker(campaignPause)
	g.campaigning.Go(func() {
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := g.gate.RunCampaigns(ctx); err != nil && ctx.Err() == nil {
				g.logger.Warn("the work on campaigns goes on later", zap.Error(err))
			}
		}
	})
}
