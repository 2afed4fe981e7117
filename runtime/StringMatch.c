// RegexFullMatch: https://onnx.ai/onnx/operators/onnx__RegexFullMatch.html
#include "Regex.h"
#include "Text.h"

int32_t fulgur__string_match(fulgur_frame *frame, int32_t to, int32_t x,
                             const char *pattern, const char *node) {
  const fulgur_value *value = fulgur__operand(frame, x, FULGUR_STRING, node);
  if (!value)
    return FULGUR_INVALID_VALUE;
  fulgur_value result;
  fulgur_status status =
      fulgur__new_tensor(frame, &result, FULGUR_BOOL, value->rank, value->dims);
  if (status != FULGUR_OK)
    return status;
  size_t bytes = fulgur__regex_bytes(pattern, strlen(pattern));
  void *memory = fulgur__allocate(frame->allocator, bytes);
  const char *problem = NULL;
  fulgur_regex *regex =
      memory ? fulgur__regex_compile(pattern, strlen(pattern), memory, &problem)
             : NULL;
  if (!memory)
    status = FULGUR_OUT_OF_MEMORY;
  else if (!regex)
    status = fulgur__fail(FULGUR_INVALID_VALUE, "%s: pattern '%s': %s", node,
                          pattern, problem);
  const fulgur_string *strings = value->data;
  for (int64_t i = 0, count = regex ? fulgur__elements(value) : 0; i < count;
       ++i)
    ((uint8_t *)result.data)[i] =
        (uint8_t)fulgur__regex_match(regex, strings[i].data, strings[i].bytes);
  fulgur__free(frame->allocator, memory, bytes);
  if (status == FULGUR_OK)
    fulgur__put(frame, to, result);
  else
    fulgur__drop(frame, &result);
  return status;
}
