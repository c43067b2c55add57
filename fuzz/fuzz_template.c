/* A chat template of any bytes, compiled and rendered with a small context and tight
 * limits: it must end soon, with a text or with an error. */
#include "chat/template.h"

static const char context_text[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"S\\u00e9\"},{\"role\":\"user\",\"content\":"
    "\" hi <b>\\n\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{"
    "\"name\":\"f\",\"arguments\":{\"x\":[1,2.5,true]}}}]}],\"tools\":[{\"type\":\"function\","
    "\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}],\"d\":{\"b\":1,\"a\":2},"
    "\"l\":[3,1,2],\"s\":\"Hello, w\\u00f6rld\",\"i\":7,\"f\":-2.5,\"n\":null,\"t\":true,"
    "\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"add_generation_prompt\":true}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static json_t *context;
    static const struct template_limits limits = {.max_output_bytes = 1 << 18,
                                                  .max_steps = 100000,
                                                  .max_memory_bytes = 4 << 20,
                                                  .max_depth = 50};
    struct chat_template *t;
    struct buf out;
    hearth_error err;
    if (!context) context = json_loads(context_text, 0, NULL);
    if (chat_template_open(&t, (const char *)data, size, &err) != HEARTH_OK) return 0;
    buf_init(&out, 1 << 18);
    chat_template_render(t, context, 1752148800, &limits, &out, &err);
    buf_release(&out);
    chat_template_close(t);
    return 0;
}
