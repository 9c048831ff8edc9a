// Command gen compiles the protos of a folder and hands them to protoc plugins: what protoc does, from Go modules alone.
//
//	gen -I <import root> -out <folder> -plugin <path of protoc-gen-x>[=<parameter>] ... <proto file> ...
//
// Imports under google/ come from the descriptors that are linked in.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	_ "github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2/options"
	_ "google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	_ "google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/emptypb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/pluginpb"
)

type plugins []string

func (p *plugins) String() string     { return strings.Join(*p, " ") }
func (p *plugins) Set(v string) error { *p = append(*p, v); return nil }

func main() {
	var chosen plugins
	root := flag.String("I", ".", "folder that imports are relative to")
	out := flag.String("out", ".", "folder that generated files are relative to")
	flag.Var(&chosen, "plugin", "plugin to run, with =<parameter>; may be repeated")
	flag.Parse()
	if err := run(*root, *out, chosen, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(root, out string, chosen []string, names []string) error {
	compiler := protocompile.Compiler{
		SourceInfoMode: protocompile.SourceInfoStandard,
		Resolver: protocompile.CompositeResolver{
			&protocompile.SourceResolver{ImportPaths: []string{root}},
			protocompile.ResolverFunc(linked),
		},
	}
	files, err := compiler.Compile(context.Background(), names...)
	if err != nil {
		return err
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: names}
	seen := map[string]bool{}
	for _, file := range files {
		addWithImports(request, seen, file)
	}
	for _, plugin := range chosen {
		path, parameter, _ := strings.Cut(plugin, "=")
		request.Parameter = proto.String(parameter)
		if err := generate(path, out, request); err != nil {
			return fmt.Errorf("cannot run %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

func linked(path string) (protocompile.SearchResult, error) {
	file, err := protoregistry.GlobalFiles.FindFileByPath(path)
	if err != nil {
		return protocompile.SearchResult{}, err
	}
	return protocompile.SearchResult{Desc: file}, nil
}

// addWithImports appends a file after everything that it imports, as plugins require.
func addWithImports(request *pluginpb.CodeGeneratorRequest, seen map[string]bool, file protoreflect.FileDescriptor) {
	if seen[file.Path()] {
		return
	}
	seen[file.Path()] = true
	for i := range file.Imports().Len() {
		addWithImports(request, seen, file.Imports().Get(i).FileDescriptor)
	}
	request.ProtoFile = append(request.ProtoFile, plain(file))
}

// plain re-reads the descriptor, so that options are known fields for the plugin's own types.
func plain(file protoreflect.FileDescriptor) *descriptorpb.FileDescriptorProto {
	return proto.Clone(protoutil.ProtoFromFileDescriptor(file)).(*descriptorpb.FileDescriptorProto)
}

func generate(path, out string, request *pluginpb.CodeGeneratorRequest) error {
	input, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	var stdout bytes.Buffer
	command := exec.Command(path)
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(input), &stdout, os.Stderr
	if err := command.Run(); err != nil {
		return err
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(stdout.Bytes(), &response); err != nil {
		return err
	}
	if response.Error != nil {
		return errors.New(response.GetError())
	}
	for _, file := range response.GetFile() {
		target := filepath.Join(out, filepath.FromSlash(file.GetName()))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, []byte(file.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
