package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

// Query of a list: filtered, sorted and paged by the database.
type Query struct {
	Namespaces []string
	// Filter by field; which fields there are is each list's.
	Filter map[string]string
	// Sort field, "" for the list's own order; which there are is each list's.
	Sort   string
	Desc   bool
	Cursor string
	// Limit of items, 1 to 1000.
	Limit int
}

// Page of a list. Next is "" at the end; Total counts all that the filter chooses.
type Page[T any] struct {
	Items []T
	Next  string
	Total int64
}

// PolicyResultRow is a policy result with the pair it is about.
type PolicyResultRow struct {
	delivery.PolicyResult
	Namespace string
	Cluster   string
	Bundle    delivery.Key
	// Point at which it was found: gate or audit. Revision of the policies and Time are known of what agents found.
	Point    string
	Revision string
	Time     time.Time
}

// listing says what a list may be asked.
type listing struct {
	// filters are columns by field; a value of a bundle filter may be a name or namespace/name.
	filters map[string]string
	// sorts are columns by field, ties the columns that make any order total; own is the list's own sort.
	sorts map[string][]string
	own   string
	// newest first in the list's own order.
	newest bool
}

const (
	pageMax     = 1000
	pageDefault = 100
)

var (
	clusterList = listing{filters: map[string]string{"name": "name", "connected": "connected"}, own: "name",
		sorts: map[string][]string{"name": {"namespace", "name", "uid"}, "seen": {"last_seen", "uid"}}}
	bundleList = listing{filters: map[string]string{"name": "name", "repo": "repo"}, own: "name",
		sorts: map[string][]string{"name": {"namespace", "name"}}}
	deliveryList = listing{filters: map[string]string{"cluster": "cluster", "bundle": "bundle", "state": "state", "reason": "reason"}, own: "cluster",
		sorts: map[string][]string{"cluster": {"namespace", "cluster", "bundle", "cluster_uid"}, "bundle": {"bundle", "cluster_uid"},
			"state": {"state", "cluster", "bundle", "cluster_uid"}}}
	objectList = listing{filters: map[string]string{"cluster": "cluster", "bundle": "bundle", "state": "state", "kind": "kind"}, own: "object",
		sorts: map[string][]string{"object": {"cluster_uid", "bundle", "object_group", "kind", "object_namespace", "name"}}}
	policyList = listing{filters: map[string]string{"cluster": "cluster", "bundle": "bundle", "policy": "policy", "action": "action", "result": "result",
		"point": "point", "kind": "kind"}, own: "id",
		sorts: map[string][]string{"id": {"id"}}}
	historyList = listing{filters: map[string]string{"cluster": "cluster", "bundle": "bundle", "type": "type"}, own: "time", newest: true,
		sorts: map[string][]string{"time": {"id"}}}
	auditList = listing{filters: map[string]string{"actor": "actor", "verb": "verb"}, own: "time", newest: true,
		sorts: map[string][]string{"time": {"id"}}}
)

// list runs a query over a model and returns one page; key reads a row's values of the sort's columns.
func list[R, T any](ctx context.Context, db *bun.DB, l listing, q Query, key func(R, string) any, convert func(R) (T, error)) (Page[T], error) {
	page := Page[T]{}
	columns, desc, err := l.order(q)
	if err != nil {
		return page, err
	}
	var rows []R
	query := db.NewSelect().Model(&rows)
	if query, err = l.where(query, q); err != nil {
		return page, err
	}
	total, err := query.Count(ctx)
	if err != nil {
		return page, fmt.Errorf("cannot count: %w", err)
	}
	page.Total = total
	if q.Cursor != "" {
		after, err := decodeCursor(q.Cursor, columns)
		if err != nil {
			return page, err
		}
		seek := columns
		if seek[0] == "namespace" && len(q.Namespaces) == 1 {
			// The one namespace is given already; without it the index is entered right at the cursor.
			if after[0] != q.Namespaces[0] {
				return page, errCursor
			}
			seek, after = seek[1:], after[1:]
		}
		query = query.Where("(?) ? (?)", idents(seek), bun.Safe(map[bool]string{false: ">", true: "<"}[desc]), bun.List(after))
	}
	for _, column := range columns {
		query = query.OrderExpr("? ?", bun.Ident(column), bun.Safe(map[bool]string{false: "ASC", true: "DESC"}[desc]))
	}
	limit := q.Limit
	if limit <= 0 {
		limit = pageDefault
	}
	limit = min(limit, pageMax)
	if err := query.Limit(int64(limit) + 1).Scan(ctx); err != nil {
		return page, fmt.Errorf("cannot list: %w", err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		values := make([]any, 0, len(columns))
		for _, column := range columns {
			values = append(values, key(rows[limit-1], column))
		}
		page.Next = encodeCursor(columns, values)
	}
	for _, row := range rows {
		item, err := convert(row)
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, item)
	}
	return page, nil
}

func (l listing) order(q Query) (columns []string, desc bool, err error) {
	field, desc := q.Sort, q.Desc
	if field == "" {
		field = l.own
		desc = desc != l.newest
	}
	columns, ok := l.sorts[field]
	if !ok {
		return nil, false, fmt.Errorf("%w: sort %q: want one of %s", ErrInvalidQuery, field, strings.Join(sortedKeys(l.sorts), ", "))
	}
	return columns, desc, nil
}

func (l listing) where(query *bun.SelectQuery, q Query) (*bun.SelectQuery, error) {
	if len(q.Namespaces) == 0 {
		return query.Where("1 = 0"), nil
	}
	query = query.Where("namespace IN (?)", bun.List(q.Namespaces))
	for _, field := range sortedKeys(q.Filter) {
		value := q.Filter[field]
		column, ok := l.filters[field]
		switch {
		case !ok:
			return nil, fmt.Errorf("%w: filter %q: want one of %s", ErrInvalidQuery, field, strings.Join(sortedKeys(l.filters), ", "))
		case field == "connected" && value != "true" && value != "false":
			return nil, fmt.Errorf("%w: filter connected: %q is neither true nor false", ErrInvalidQuery, value)
		case field == "connected":
			query = query.Where("connected = ?", value == "true")
		case field == "bundle" && !strings.Contains(value, "/") && l.own != "time":
			// A bare name means the bundle of any of the namespaces asked for.
			keys := make([]string, 0, len(q.Namespaces))
			for _, namespace := range q.Namespaces {
				keys = append(keys, namespace+"/"+value)
			}
			query = query.Where("bundle IN (?)", bun.List(keys))
		default:
			query = query.Where("? = ?", bun.Ident(column), value)
		}
	}
	return query, nil
}

func idents(columns []string) bun.Safe { return bun.Safe(strings.Join(columns, ", ")) }

var errCursor = fmt.Errorf("%w: cursor: not one that this list gave", ErrInvalidQuery)

// numbers are the columns of a sort that hold no text.
var numbers = map[string]bool{"id": true, "last_seen": true}

// cursorText is what a cursor holds: the sort's columns, so that it fits no other list or order, and the last item's values.
type cursorText struct {
	Columns []string `json:"c"`
	Values  []any    `json:"v"`
}

func encodeCursor(columns []string, values []any) string {
	data, err := json.Marshal(cursorText{columns, values})
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

func decodeCursor(cursor string, columns []string) ([]any, error) {
	data, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, errCursor
	}
	var text cursorText
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if decoder.Decode(&text) != nil || !slices.Equal(text.Columns, columns) || len(text.Values) != len(columns) {
		return nil, errCursor
	}
	for i, value := range text.Values {
		switch value := value.(type) {
		case string:
			if numbers[columns[i]] {
				return nil, errCursor
			}
		case json.Number:
			number, err := value.Int64()
			if err != nil || !numbers[columns[i]] {
				return nil, errCursor
			}
			text.Values[i] = number
		default:
			return nil, errCursor
		}
	}
	return text.Values, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// ListClusters filters by name and connected, and sorts by name or seen.
func (s *Store) ListClusters(ctx context.Context, q Query) (Page[delivery.Cluster], error) {
	return list(ctx, s.reader, clusterList, q, func(r *clusterRow, column string) any {
		return map[string]any{"namespace": r.Namespace, "name": r.Name, "uid": r.UID, "last_seen": r.LastSeen}[column]
	}, func(r *clusterRow) (delivery.Cluster, error) { return r.cluster() })
}

// ListBundles filters by name and repo, and sorts by name.
func (s *Store) ListBundles(ctx context.Context, q Query) (Page[delivery.Bundle], error) {
	return list(ctx, s.reader, bundleList, q, func(r *bundleRow, column string) any {
		return map[string]any{"namespace": r.Namespace, "name": r.Name}[column]
	}, (*bundleRow).bundle)
}

// ListDeliveries filters by cluster, bundle, state and reason, and sorts by cluster, bundle or state.
func (s *Store) ListDeliveries(ctx context.Context, q Query) (Page[delivery.Delivery], error) {
	return list(ctx, s.reader, deliveryList, q, func(r *deliveryRow, column string) any {
		return map[string]any{"namespace": r.Namespace, "cluster": r.Cluster, "bundle": r.Bundle, "cluster_uid": r.ClusterUID, "state": r.State}[column]
	}, func(r *deliveryRow) (delivery.Delivery, error) { return r.delivery() })
}

// ListObjects lists what is not applied and current; it filters by cluster, bundle, state and kind.
func (s *Store) ListObjects(ctx context.Context, q Query) (Page[delivery.Object], error) {
	return list(ctx, s.reader, objectList, q, func(r *objectRow, column string) any {
		return map[string]any{"cluster_uid": r.ClusterUID, "bundle": r.Bundle, "object_group": r.ObjectGroup, "kind": r.Kind,
			"object_namespace": r.ObjectNamespace, "name": r.Name}[column]
	}, func(r *objectRow) (delivery.Object, error) {
		return delivery.Object{ID: content.ObjectID{Group: r.ObjectGroup, Kind: r.Kind, Namespace: r.ObjectNamespace, Name: r.Name},
			State: r.State, Message: r.Message, Since: fromMicros(r.Since)}, nil
	})
}

// ListPolicyResults lists what the gate found, and agents; it filters by cluster, bundle, policy, action, result, point and kind.
func (s *Store) ListPolicyResults(ctx context.Context, q Query) (Page[PolicyResultRow], error) {
	return list(ctx, s.reader, policyList, q, func(r *policyRow, _ string) any { return r.ID }, func(r *policyRow) (PolicyResultRow, error) {
		return PolicyResultRow{Namespace: r.Namespace, Cluster: r.Cluster, Bundle: delivery.Key(r.Bundle), Point: r.Point, Revision: r.Revision, Time: fromMicros(r.Time), PolicyResult: delivery.PolicyResult{
			Policy: r.Policy, Action: r.Action, Result: r.Result, Message: r.Message, Source: r.Source, PolicySource: r.PolicySource,
			Exemption: r.Exemption, Object: content.ObjectID{Group: r.ObjectGroup, Kind: r.Kind, Namespace: r.ObjectNamespace, Name: r.Name}}}, nil
	})
}

// ListHistory lists events, newest first; it filters by cluster, bundle (name) and type.
func (s *Store) ListHistory(ctx context.Context, q Query) (Page[delivery.Event], error) {
	return list(ctx, s.reader, historyList, q, func(r *historyRow, _ string) any { return r.ID }, func(r *historyRow) (delivery.Event, error) {
		return delivery.Event{ID: r.ID, Time: fromMicros(r.Time), Namespace: r.Namespace, Cluster: r.Cluster, Bundle: r.Bundle, Type: r.Type,
			From: r.FromValue, To: r.ToValue, Commit: r.CommitSha, Actor: r.Actor, Message: r.Message}, nil
	})
}

// ListAudit lists imperative acts, newest first; it filters by actor and verb.
func (s *Store) ListAudit(ctx context.Context, q Query) (Page[AuditRecord], error) {
	return list(ctx, s.reader, auditList, q, func(r *auditRow, _ string) any { return r.ID }, func(r *auditRow) (AuditRecord, error) {
		return AuditRecord{Time: fromMicros(r.Time), Actor: r.Actor, Verb: r.Verb, Resource: r.Resource, Namespace: r.Namespace, Name: r.Name, Detail: r.Detail}, nil
	})
}
