/* SPDX-License-Identifier: Apache-2.0 */
#include "link_writer.h"

#include "link_crc32.h"

void link_writer_init(link_writer_t *writer, link_sink_t sink, void *context) {
    writer->sink = sink;
    writer->context = context;
    writer->crc = 0;
    writer->frames = 0;
}

void link_writer_begin(link_writer_t *writer, uint8_t type, uint8_t sequence) {
    const uint8_t head[2] = {type, sequence};
    link_cobs_encoder_start(&writer->cobs, writer->sink, writer->context);
    writer->crc = 0;
    link_writer_add(writer, head, sizeof head);
}

void link_writer_add(link_writer_t *writer, const void *data, size_t length) {
    writer->crc = link_crc32(writer->crc, data, length);
    link_cobs_encoder_add(&writer->cobs, data, length);
}

void link_writer_end(link_writer_t *writer) {
    const uint32_t crc = writer->crc;
    const uint8_t tail[4] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16),
                             (uint8_t)(crc >> 24)};
    link_cobs_encoder_add(&writer->cobs, tail, sizeof tail);
    link_cobs_encoder_finish(&writer->cobs);
    ++writer->frames;
}

void link_writer_send(link_writer_t *writer, uint8_t type, uint8_t sequence, const void *payload,
                      size_t length) {
    link_writer_begin(writer, type, sequence);
    link_writer_add(writer, payload, length);
    link_writer_end(writer);
}
