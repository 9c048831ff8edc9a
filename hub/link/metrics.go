package link

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/reflect/protoreflect"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/link/session"
)

// metrics of the link.
type metrics struct {
	connected prometheus.Gauge
	messages  *prometheus.CounterVec
	store     *prometheus.HistogramVec
	fetched   prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		connected: prometheus.NewGauge(prometheus.GaugeOpts{Name: "periplus_link_connected_agents", Help: "Agents that are connected to this process."}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "periplus_link_messages_total",
			Help: "Messages of the link by direction and kind."}, []string{"direction", "kind"}),
		store: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "periplus_link_store_seconds", Help: "How long the link's store calls take.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10}}, []string{"call"}),
		fetched: prometheus.NewCounter(prometheus.CounterOpts{Name: "periplus_link_fetched_bytes_total", Help: "Content sent to agents, compressed."}),
	}
	if registerer != nil {
		registerer.MustRegister(m.connected, m.messages, m.store, m.fetched)
	}
	return m
}

func (m *metrics) received(message *linkv1.AgentMessage) {
	m.messages.WithLabelValues("received", kind(message.ProtoReflect())).Inc()
}

func (m *metrics) sending(message *linkv1.HubMessage) {
	m.messages.WithLabelValues("sent", kind(message.ProtoReflect())).Inc()
}

func kind(message protoreflect.Message) string {
	field := message.WhichOneof(message.Descriptor().Oneofs().ByName("message"))
	if field == nil {
		return "unknown"
	}
	return string(field.Name())
}

// storeCall measures one call; it is called again when the call ends.
func (m *metrics) storeCall(request session.Request) func() {
	start := time.Now()
	return func() { m.store.WithLabelValues(strings.ToLower(request.Name())).Observe(time.Since(start).Seconds()) }
}
