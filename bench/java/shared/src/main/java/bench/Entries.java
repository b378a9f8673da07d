package bench;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.i18n.phonenumbers.NumberParseException;
import com.google.i18n.phonenumbers.PhoneNumberUtil;
import com.google.i18n.phonenumbers.PhoneNumberUtil.PhoneNumberFormat;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.List;

/** The values of records to the body of a request. */
final class Entries {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final PhoneNumberUtil PHONES = PhoneNumberUtil.getInstance();

  private Entries() {}

  static byte[] bodyOf(List<byte[]> values) {
    var bytes = new ByteArrayOutputStream(64 * values.size());
    try (JsonGenerator body = JSON.createGenerator(bytes)) {
      body.writeStartArray();
      for (var value : values) {
        JsonNode event = JSON.readTree(value);
        body.writeStartObject();
        body.writeStringField("phone", normalise(event.path("phone").asText()));
        body.writeStringField("type", "dncl");
        body.writeStringField("source", event.path("source").asText("unknown"));
        body.writeEndObject();
      }
      body.writeEndArray();
    } catch (IOException | NumberParseException error) {
      throw new IllegalStateException("a record of the bench is no opt-out", error);
    }
    return bytes.toByteArray();
  }

  private static String normalise(String text) throws NumberParseException {
    var phone = PHONES.parse(text, "US");
    if (!PHONES.isValidNumber(phone)) throw new IllegalStateException("a phone of the bench is not valid");
    return PHONES.format(phone, PhoneNumberFormat.E164);
  }
}
