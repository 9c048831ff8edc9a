// Package get lists repos, clusters, bundles, deliveries, objects, policy results, holds, tokens and audit records.
package get

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	statusv1 "github.com/periplus-fleet/periplus/api/proto/periplus/status/v1"
	"github.com/periplus-fleet/periplus/cmd/periplus/client"
	"github.com/periplus-fleet/periplus/cmd/periplus/output"
)

// page is how many items one request asks for.
const page = 500

type flags struct {
	cluster, bundle, state, sort string
	point, policy                string
	all                          bool
	limit                        int
}

// list is one listable resource.
type list struct {
	names   []string
	short   string
	path    string
	header  []string
	filters func(flags) []string
	// points says that it is filtered by point and policy too.
	points bool
	empty  string
	// response makes an empty answer; rows reads one.
	response func() proto.Message
	rows     func(proto.Message, time.Time) ([][]string, string)
	join     func(into, from proto.Message)
}

// Command is `periplus get`.
func Command(env client.Env, now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get RESOURCE",
		Short: "List repos, clusters, bundles, deliveries, objects, policies' results, holds, tokens or audit records",
		Example: `  periplus get clusters
  periplus get deliveries -c prod-eu --state Failed
  periplus get objects -c prod-eu -b model-x
  periplus get bundles -A -o json`,
	}
	for _, item := range lists() {
		cmd.AddCommand(listCommand(env, item, now))
	}
	cmd.AddCommand(objectsCommand(env, now))
	return cmd
}

func listCommand(env client.Env, item list, now func() time.Time) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use: item.names[0], Aliases: item.names[1:], Short: item.short, Args: cobra.NoArgs,
		Example: "  periplus get " + item.names[0],
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			answer, rows, err := fetch(ctx, hub, item, f, now())
			if err != nil {
				return err
			}
			if done, err := printer.Message(answer); done || err != nil {
				return err
			}
			if len(rows) == 0 {
				printer.Hint("%s", item.empty)
				return nil
			}
			return printer.Table(item.header, rows)
		},
	}
	cmd.Flags().BoolVarP(&f.all, "all-namespaces", "A", false, "every namespace that you may list")
	cmd.Flags().StringVar(&f.sort, "sort", "", "field to sort by, with a leading - for descending")
	cmd.Flags().IntVar(&f.limit, "limit", 0, "at most so many (default: all)")
	if item.filters != nil {
		cmd.Flags().StringVarP(&f.cluster, "cluster", "c", "", "only of this cluster")
		cmd.Flags().StringVarP(&f.bundle, "bundle", "b", "", "only of this bundle")
		cmd.Flags().StringVar(&f.state, "state", "", "only in this state")
	}
	if item.points {
		cmd.Flags().StringVar(&f.point, "point", "", "only found at this point: gate or audit")
		cmd.Flags().StringVar(&f.policy, "policy", "", "only by this policy")
	}
	return cmd
}

// fetch follows the cursor until the end or the limit.
func fetch(ctx context.Context, hub *client.Client, item list, f flags, now time.Time) (proto.Message, [][]string, error) {
	query := url.Values{}
	if !f.all {
		query.Set("namespace", hub.Namespace)
	}
	if f.sort != "" {
		query.Set("sort", f.sort)
	}
	if item.filters != nil {
		query["filter"] = item.filters(f)
	}
	all := item.response()
	var rows [][]string
	for {
		size := page
		if f.limit > 0 {
			size = min(page, f.limit-len(rows))
		}
		query.Set("limit", strconv.Itoa(size))
		answer := item.response()
		if err := hub.Get(ctx, item.path, query, answer); err != nil {
			return nil, nil, err
		}
		more, next := item.rows(answer, now)
		rows = append(rows, more...)
		item.join(all, answer)
		if next == "" || (f.limit > 0 && len(rows) >= f.limit) {
			return all, rows, nil
		}
		query.Set("cursor", next)
	}
}

func objectsCommand(env client.Env, now func() time.Time) *cobra.Command {
	var cluster, bundle string
	cmd := &cobra.Command{
		Use: "objects", Aliases: []string{"object"}, Short: "The objects of one bundle on one cluster, each with its state", Args: cobra.NoArgs,
		Example: "  periplus get objects -c prod-eu -b model-x",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cluster == "" || bundle == "" {
				return client.Usage("objects needs --cluster and --bundle")
			}
			ctx, hub, printer, err := env.Open(cmd)
			if err != nil {
				return err
			}
			path := fmt.Sprintf("namespaces/%s/clusters/%s/deliveries/%s/objects", hub.Namespace, url.PathEscape(cluster), url.PathEscape(bundle))
			all := &statusv1.ListObjectsResponse{}
			query := url.Values{"limit": {strconv.Itoa(page)}}
			for {
				answer := &statusv1.ListObjectsResponse{}
				if err := hub.Get(ctx, path, query, answer); err != nil {
					return err
				}
				all.Items, all.Total = append(all.Items, answer.GetItems()...), answer.GetTotal()
				if answer.GetNext() == "" {
					break
				}
				query.Set("cursor", answer.GetNext())
			}
			if done, err := printer.Message(all); done || err != nil {
				return err
			}
			var rows [][]string
			for _, o := range all.GetItems() {
				rows = append(rows, []string{kind(o), output.Dash(o.GetNamespace()), o.GetName(), o.GetState(), output.Age(o.GetSince(), now()),
					output.Dash(o.GetSource()), output.Dash(o.GetMessage())})
			}
			return printer.Table([]string{"KIND", "NAMESPACE", "NAME", "STATE", "SINCE", "SOURCE", "MESSAGE"}, rows)
		},
	}
	cmd.Flags().StringVarP(&cluster, "cluster", "c", "", "the cluster")
	cmd.Flags().StringVarP(&bundle, "bundle", "b", "", "the bundle")
	return cmd
}

func kind(o *statusv1.Object) string {
	if o.GetGroup() == "" {
		return o.GetKind()
	}
	return o.GetKind() + "." + o.GetGroup()
}
