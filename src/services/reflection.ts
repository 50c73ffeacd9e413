/** grpc.reflection.v1: lets grpcurl, `buf curl` and the like work without our .proto files. */
import {
  createRegistry,
  type DescExtension,
  type DescFile,
  type DescService,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type {
  ServerReflection,
  ServerReflectionRequest,
  ServerReflectionResponse,
} from "../gen/grpc/reflection/v1/reflection_pb.ts";

type Answer = ServerReflectionResponse["messageResponse"];
type Question = ServerReflectionRequest["messageRequest"];

/** Describes `services`, the files they are in, and `files` besides (such as those of error details). */
export function reflectionService(
  services: readonly DescService[],
  files: readonly DescFile[],
): ServiceImpl<typeof ServerReflection> {
  const all = new Map<string, DescFile>();
  for (const service of services) addWithImports(service.file, all);
  for (const file of files) addWithImports(file, all);
  const registry = createRegistry(...all.values());
  const extensions = [...registry].filter((desc): desc is DescExtension => desc.kind === "extension");

  const fileAnswer = (file: DescFile | undefined, asked: string): Answer => {
    if (!file) return notFound(asked);
    const closure = addWithImports(file, new Map());
    const fileDescriptorProto = [...closure.values()].map((desc) =>
      toBinary(FileDescriptorProtoSchema, desc.proto),
    );
    return {
      case: "fileDescriptorResponse",
      value: { $typeName: "grpc.reflection.v1.FileDescriptorResponse", fileDescriptorProto },
    };
  };
  const fileOfSymbol = (symbol: string): DescFile | undefined => {
    for (let name = symbol; name !== ""; name = name.slice(0, Math.max(0, name.lastIndexOf(".")))) {
      const desc = registry.get(name);
      // A name below a known one must be one of its own: a field, a method or an enum value.
      if (desc)
        return name === symbol || hasChild(desc, symbol.slice(name.length + 1)) ? desc.file : undefined;
    }
    return undefined;
  };
  const answer = (question: Question): Answer => {
    switch (question.case) {
      case "listServices": {
        const service = services.map(({ typeName }) => ({
          $typeName: "grpc.reflection.v1.ServiceResponse" as const,
          name: typeName,
        }));
        return {
          case: "listServicesResponse",
          value: { $typeName: "grpc.reflection.v1.ListServiceResponse", service },
        };
      }
      case "fileByFilename":
        return fileAnswer(all.get(question.value), question.value);
      case "fileContainingSymbol":
        return fileAnswer(fileOfSymbol(question.value), question.value);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = question.value;
        const found = extensions.find(
          (e) => e.extendee.typeName === containingType && e.number === extensionNumber,
        );
        return fileAnswer(found?.file, `extension ${extensionNumber} of ${containingType}`);
      }
      case "allExtensionNumbersOfType": {
        const extensionNumber = extensions
          .filter((e) => e.extendee.typeName === question.value)
          .map((e) => e.number);
        const known = extensionNumber.length > 0 || registry.getMessage(question.value);
        if (!known) return notFound(question.value);
        return {
          case: "allExtensionNumbersResponse",
          value: {
            $typeName: "grpc.reflection.v1.ExtensionNumberResponse",
            baseTypeName: question.value,
            extensionNumber,
          },
        };
      }
      default:
        return failure(Code.InvalidArgument, "the request asks for nothing");
    }
  };
  return {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        yield {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answer(request.messageRequest),
        };
      }
    },
  };
}

/** Adds the file and everything that it imports to `files`. */
function addWithImports(file: DescFile, files: Map<string, DescFile>): Map<string, DescFile> {
  if (files.has(file.proto.name)) return files;
  files.set(file.proto.name, file);
  for (const imported of file.dependencies) addWithImports(imported, files);
  return files;
}

function hasChild(desc: { readonly kind: string }, name: string): boolean {
  const named = (list: unknown): boolean =>
    Array.isArray(list) && list.some((child: { readonly name?: string }) => child.name === name);
  return ["fields", "methods", "values", "oneofs"].some((key) => named(Reflect.get(desc, key)));
}

function notFound(asked: string): Answer {
  return failure(Code.NotFound, `not found: ${asked}`);
}

function failure(errorCode: Code, errorMessage: string): Answer {
  return {
    case: "errorResponse",
    value: { $typeName: "grpc.reflection.v1.ErrorResponse", errorCode, errorMessage },
  };
}
