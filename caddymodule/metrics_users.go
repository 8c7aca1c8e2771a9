package caddymodule

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/secondgate/secondgate/mfa"
)

// coverageFunc returns how many users hold exactly those factors.
type coverageFunc func(context.Context) (map[mfa.Kinds]int, error)

const (
	// coverageEvery is how often at most the store is asked how many users there are.
	coverageEvery = 30 * time.Second
	// coverageTime is how long it may take to answer: a scrape waits for it.
	coverageTime = 2 * time.Second
)

// coverage asks the running store, which stays open meanwhile. nil: nobody can be
// asked.
func (a *App) coverage(ctx context.Context) (map[mfa.Kinds]int, error) {
	g := a.rt.Load()
	if g == nil || g.coverage == nil {
		return nil, nil
	}
	v, err := g.enter()
	if err != nil {
		return nil, err
	}
	defer v.leave()
	return g.coverage(ctx)
}

// usersCollector shows how many users have which factors. Where the store cannot say,
// it shows nothing: an old number would look like a true one.
type usersCollector struct {
	ask                   coverageFunc
	all, without, holding *prometheus.Desc

	mu     sync.Mutex
	at     time.Time
	counts map[mfa.Kinds]int
}

func newUsersCollector(ask coverageFunc) *usersCollector {
	return &usersCollector{
		ask:     ask,
		all:     prometheus.NewDesc("secondgate_users", "Users that there are; who is disabled is not counted.", nil, nil),
		without: prometheus.NewDesc("secondgate_users_without_factor", "Users who hold no second factor; backup codes alone are none.", nil, nil),
		holding: prometheus.NewDesc("secondgate_users_with_factor", "Users who hold that factor, whatever else they hold.", []string{"factor"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *usersCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.all
	ch <- c.without
	ch <- c.holding
}

// Collect implements prometheus.Collector.
func (c *usersCollector) Collect(ch chan<- prometheus.Metric) {
	counts := c.current()
	if counts == nil {
		return
	}
	all, without, holding := 0, 0, map[mfa.Kind]int{}
	for kinds, n := range counts {
		all += n
		// What this version does not know is a factor as well.
		if kinds&^mfa.KindsOf(mfa.BackupCode) == 0 {
			without += n
		}
		for _, k := range kinds.List() {
			holding[k] += n
		}
	}
	gauge := func(desc *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(c.all, all)
	gauge(c.without, without)
	for _, k := range factorsHere.List() {
		gauge(c.holding, holding[k], string(k))
	}
}

// current returns the counts, at most coverageEvery old, or nil. Scrapes that come at
// once ask once. A store that fails is not asked at every scrape, either.
func (c *usersCollector) current() map[mfa.Kinds]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < coverageEvery {
		return c.counts
	}
	ctx, cancel := context.WithTimeout(context.Background(), coverageTime)
	defer cancel()
	counts, err := c.ask(ctx)
	if err != nil {
		counts = nil
	}
	if counts == nil && err == nil {
		return nil // not running yet: the next scrape asks again
	}
	c.at, c.counts = time.Now(), counts
	return counts
}

var _ prometheus.Collector = (*usersCollector)(nil)
