package caddymodule

import (
	"errors"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/secondgate/secondgate/mfa"
)

// metrics are the counters of the process. Caddy makes a registry for each
// configuration; these are registered in every one of them, so that a reload sets
// nothing back to zero.
//
// No label holds what anybody outside can choose: every value is one of a list that
// this program has (AC-232).
type metrics struct {
	decisions     decisionCounter
	signIns       *prometheus.CounterVec
	completed     prometheus.Counter
	signUps       *prometheus.CounterVec
	verifications *prometheus.CounterVec
	setUps        *prometheus.CounterVec
	throttled     *prometheus.CounterVec
	messages      *prometheus.CounterVec
	dropped       *prometheus.CounterVec
	cost          *prometheus.CounterVec
	storeTime     *prometheus.HistogramVec
	storeErrors   *prometheus.CounterVec
	eventsLost    *prometheus.CounterVec
	unsigned      prometheus.Counter
}

// counted is the one of the process, as there is one hasher.
var counted = newMetrics()

func newMetrics() *metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		decisions: decisionCounter{others: vec("secondgate_decisions_total",
			"Requests that were judged, by what was asked of them and why. With report_only=\"true\" they were let through all the same.",
			"action", "reason", "report_only")},
		signIns:       vec("secondgate_sign_ins_total", "First factors that were tried.", "factor", "outcome"),
		completed:     prometheus.NewCounter(prometheus.CounterOpts{Name: "secondgate_sign_ins_completed_total", Help: "Sign-ins after which nothing more was owed."}),
		signUps:       vec("secondgate_sign_ups_total", "Accounts that strangers made, or tried to make.", "outcome"),
		verifications: vec("secondgate_verifications_total", "Second factors that were tried.", "factor", "outcome"),
		setUps:        vec("secondgate_set_ups_total", "Factors that were set up, or tried to be.", "factor", "outcome"),
		throttled:     vec("secondgate_throttled_attempts_total", "Attempts that were refused because of too many before them.", "step"),
		messages:      vec("secondgate_messages_total", "Tries to hand a message to a sender's other side.", "channel", "sender", "content", "outcome"),
		dropped:       vec("secondgate_messages_dropped_total", "Messages that were never tried, because too many were under way.", "channel", "content"),
		cost:          vec("secondgate_messages_cost_total", "What sent messages have cost, by the price that the configuration names.", "channel", "sender"),
		storeTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "secondgate_store_operation_duration_seconds", Help: "How long the store took.",
			Buckets: []float64{.0001, .00025, .001, .0025, .01, .025, .1, .25, 1, 2.5},
		}, []string{"operation"}),
		storeErrors: vec("secondgate_store_errors_total", "Operations that the store could not carry out.", "operation"),
		eventsLost:  vec("secondgate_events_lost_total", "Events that were not kept in the store's record, or not handed to the handlers of Caddy's events.", "target"),
		unsigned:    prometheus.NewCounter(prometheus.CounterOpts{Name: "secondgate_assertions_failed_total", Help: "Requests that went to an app without the assertion, because none could be signed."}),
	}
	// At zero from the start: the first one that is lost is to be seen as a rise.
	m.eventsLost.WithLabelValues("store")
	m.eventsLost.WithLabelValues("handlers")
	return m
}

// collectors are those of the process.
func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		&m.decisions, m.signIns, m.completed, m.signUps, m.verifications, m.setUps, m.throttled,
		m.messages, m.dropped, m.cost, m.storeTime, m.storeErrors, m.eventsLost, m.unsigned,
	}
}

// metricCollectors are all that this configuration shows: those of the process, and
// what is read of the running parts when somebody asks.
func (a *App) metricCollectors() []prometheus.Collector {
	counter := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read)
	}
	gauge := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
	}
	return append(counted.collectors(),
		counter("secondgate_session_cache_hits_total", "Requests whose session was verified from memory.", func() float64 {
			hits, _ := a.cacheCounts()
			return float64(hits)
		}),
		counter("secondgate_session_cache_misses_total", "Requests whose session had to be looked up, or was none.", func() float64 {
			_, misses := a.cacheCounts()
			return float64(misses)
		}),
		gauge("secondgate_password_hashes_running", "Argon2 hashes that are computed now.", func() float64 {
			running, _, _ := hashLoad()
			return float64(running)
		}),
		gauge("secondgate_password_hashes_waiting", "Argon2 hashes that wait for their turn.", func() float64 {
			_, waiting, _ := hashLoad()
			return float64(waiting)
		}),
		counter("secondgate_password_hashes_refused_total", "Argon2 hashes that were turned away because too many waited.", func() float64 {
			_, _, refused := hashLoad()
			return float64(refused)
		}),
		newUsersCollector(a.coverage),
		newDatabaseCollector(a.databaseStats),
	)
}

// register shows the metrics in Caddy's registry of this configuration. Nobody goes
// unprotected, or unserved, because one of them cannot be shown.
func (a *App) registerMetrics(registry prometheus.Registerer) {
	for _, c := range a.metricCollectors() {
		err := registry.Register(c)
		if _, twice := errors.AsType[prometheus.AlreadyRegisteredError](err); err != nil && !twice {
			a.logger.Warn("a metric cannot be shown", zap.Error(err))
		}
	}
}

// cacheCounts are those of the sessions' cache, which is pooled over reloads.
func (a *App) cacheCounts() (hits, misses uint64) {
	g := a.rt.Load()
	if g == nil {
		return 0, 0
	}
	return g.pooled.sessions.CacheCounts()
}

func hashLoad() (running, waiting int, refused uint64) {
	h, err := hasher()
	if err != nil {
		return 0, 0, 0
	}
	return h.Load()
}

// decisionCounter counts decisions. Nearly all of them let somebody through who is
// signed in, and those must not meet at one counter: they are counted apart, in
// several places, and added up when somebody asks.
type decisionCounter struct {
	others  *prometheus.CounterVec
	allowed [16]tally
}

// tally shares no line of memory with its neighbours.
type tally struct {
	n atomic.Uint64
	_ [56]byte
}

// count counts one decision; allowed says whether the request was let through. from
// spreads the counting: the address of the client's connection will do.
func (c *decisionCounter) count(d mfa.Decision, allowed bool, from string) {
	switch {
	case allowed && d.Action == mfa.Allow && d.Reason == mfa.ReasonNone:
		i := 0
		if len(from) > 0 {
			i = int(from[len(from)-1]) % len(c.allowed)
		}
		c.allowed[i].n.Add(1)
	case allowed && d.Reason == mfa.ReasonReportOnly:
		c.others.WithLabelValues(d.Would.String(), reasonLabel(d.Because), "true").Inc()
	case !allowed && (d.Action == mfa.Allow || d.Action == mfa.Refuse && d.Reason == mfa.ReasonNone):
		// The store could not be asked, or there is no policy.
		c.others.WithLabelValues("unavailable", "none", "false").Inc()
	default:
		c.others.WithLabelValues(d.Action.String(), reasonLabel(d.Reason), "false").Inc()
	}
}

// Describe implements prometheus.Collector.
func (c *decisionCounter) Describe(ch chan<- *prometheus.Desc) { c.others.Describe(ch) }

// Collect implements prometheus.Collector.
func (c *decisionCounter) Collect(ch chan<- prometheus.Metric) {
	var n uint64
	for i := range c.allowed {
		n += c.allowed[i].n.Load()
	}
	descs := make(chan *prometheus.Desc, 1)
	c.others.Describe(descs)
	ch <- prometheus.MustNewConstMetric(<-descs, prometheus.CounterValue, float64(n), mfa.Allow.String(), "none", strconv.FormatBool(false))
	c.others.Collect(ch)
}

var _ prometheus.Collector = (*decisionCounter)(nil)
