package caddymodule

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/secondgate/secondgate/store/postgres"
)

// databaseStore is a store that lies in a database.
type databaseStore interface{ Stats() postgres.Stats }

// databaseStats returns how things stand with the database; false where there is none, or
// it is not open.
func (a *App) databaseStats() (postgres.Stats, bool) {
	g := a.rt.Load()
	if g == nil {
		return postgres.Stats{}, false
	}
	v, err := g.enter()
	if err != nil {
		return postgres.Stats{}, false
	}
	defer v.leave()
	s, ok := unmeasured(g.pooled.store.store).(databaseStore)
	if !ok {
		return postgres.Stats{}, false
	}
	return s.Stats(), true
}

// databaseCollector shows how things stand with the database. Where the store is in none, it
// shows nothing.
type databaseCollector struct {
	ask                                        func() (postgres.Stats, bool)
	connections, waits, inStep, schema, offset *prometheus.Desc
}

func newDatabaseCollector(ask func() (postgres.Stats, bool)) *databaseCollector {
	return &databaseCollector{
		ask:         ask,
		connections: prometheus.NewDesc("secondgate_database_connections", "Connections to the database for requests.", []string{"state"}, nil),
		waits:       prometheus.NewDesc("secondgate_database_connection_waits_total", "Requests that had to wait for a connection to the database.", nil, nil),
		inStep:      prometheus.NewDesc("secondgate_database_in_step", "1 while this node hears of what other nodes change, else 0.", nil, nil),
		schema:      prometheus.NewDesc("secondgate_database_schema_version", "The version of the tables.", nil, nil),
		offset:      prometheus.NewDesc("secondgate_database_clock_offset_seconds", "How far this node's clock is ahead of the database's.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *databaseCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.connections, c.waits, c.inStep, c.schema, c.offset} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *databaseCollector) Collect(ch chan<- prometheus.Metric) {
	s, ok := c.ask()
	if !ok {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.connections, float64(s.Used), "used")
	gauge(c.connections, float64(s.Idle), "idle")
	gauge(c.connections, float64(s.Most), "most")
	ch <- prometheus.MustNewConstMetric(c.waits, prometheus.CounterValue, float64(s.Waits))
	inStep := 0.0
	if s.InStep {
		inStep = 1
	}
	gauge(c.inStep, inStep)
	// What was not compared lately is not shown: an old number would look like a true one.
	if s.Compared {
		gauge(c.schema, float64(s.Schema))
		gauge(c.offset, s.Ahead.Seconds())
	}
}

var _ prometheus.Collector = (*databaseCollector)(nil)
